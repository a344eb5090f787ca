// Where an instance has been and where it rests: asked for again and again, drawn when it has changed.

import { badge } from './diagram.js';

const PATIENCE_MAX_MS = 60_000;
const ENDED = ['completed', 'canceled'];

/** Tells `changed` each new state until the instance has ended. A hidden page asks nothing. */
export function followState({ stateUrl, pollMs }, changed) {
  const interval = Number(pollMs) || 0;
  let etag = null;
  let wait = interval;

  async function ask() {
    if (document.hidden) {
      document.addEventListener('visibilitychange', ask, { once: true });
      return;
    }
    let ended = false;
    try {
      const answer = await fetch(stateUrl, { headers: etag ? { 'If-None-Match': etag } : {}, cache: 'no-store' });
      if (answer.ok) {
        etag = answer.headers.get('ETag');
        const state = await answer.json();
        changed(state);
        ended = ENDED.includes(state.status);
      }
      wait = answer.ok || answer.status === 304 ? interval : Math.min(wait * 2, PATIENCE_MAX_MS);
    } catch {
      wait = Math.min(wait * 2, PATIENCE_MAX_MS);
    }
    if (interval && !ended) setTimeout(ask, wait);
  }

  ask();
}

export function drawState(diagram, state, { labelWaiting = 'Waiting', labelIncident = 'Incident' }) {
  const markers = [];
  const badges = [];
  for (const { element, count } of state.path) {
    markers.push([element, 'visited']);
    if (count > 1) badges.push([element, { top: -10, left: -10 }, badge('count', `${count}×`, `${count}×`)]);
  }
  for (const { element, kind, due_at: dueAt } of state.waits) {
    markers.push([element, 'waiting']);
    const due = dueAt ? `, ${new Date(dueAt).toLocaleString(document.documentElement.lang || undefined)}` : '';
    badges.push([element, { bottom: 10, left: -10 }, badge('token', '', `${labelWaiting}: ${kind}${due}`)]);
  }
  for (const { element, message } of state.incidents) {
    markers.push([element, 'incident']);
    badges.push([element, { top: -10, right: 10 }, badge('incident', '!', `${labelIncident}: ${message}`)]);
  }
  diagram.draw('state', markers, badges);
}
