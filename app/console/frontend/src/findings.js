// What the deployment gate has to say about a diagram, shown at the elements it is about.

import { badge } from './diagram.js';

export async function readFindings(inline, url) {
  if (inline) return JSON.parse(inline.textContent);
  if (!url) return [];
  const answer = await fetch(url, { headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
}

export function drawFindings(diagram, findings) {
  const byElement = Map.groupBy(
    findings.filter(({ element }) => element),
    ({ element }) => element,
  );
  const markers = [];
  const badges = [];
  for (const [element, own] of byElement) {
    const name = own.some(({ severity }) => severity === 'error') ? 'finding-error' : 'finding-warning';
    const told = own.map(({ message, remedy }) => [message, remedy].filter(Boolean).join(' ')).join('\n');
    markers.push([element, name]);
    badges.push([element, { top: -10, right: 10 }, badge(name, own.length > 1 ? String(own.length) : '!', told)]);
  }
  diagram.draw('findings', markers, badges);
}
