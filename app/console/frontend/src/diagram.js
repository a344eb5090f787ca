// One diagram on the page: loading, fitting, moving about, and pointing at an element.

import NavigatedViewer from 'bpmn-js/lib/NavigatedViewer';
import { getBBox } from 'diagram-js/lib/util/Elements';

const STEP_PIXELS = 60;
const ZOOM_STEP = 1.2;
const ZOOM_MIN = 0.2;
const ZOOM_MAX = 4;
const MARGIN = 20;

export class Diagram {
  #viewer;
  #host;
  #notice;

  constructor(host) {
    this.#host = host;
    host.tabIndex = 0;
    host.setAttribute('role', 'group');
    host.setAttribute('aria-label', host.dataset.label ?? 'Diagram');
    // Labels get no colour of their own: they follow the outline, so that shapes coloured by their author stay legible.
    this.#viewer = new NavigatedViewer({
      container: host,
      bpmnRenderer: { defaultFillColor: 'var(--diagram-fill)', defaultStrokeColor: 'var(--diagram-line)' },
    });
    this.#notice = document.createElement('p');
    this.#notice.className = 'diagram-notice';
    this.#notice.setAttribute('role', 'status');
    this.#notice.hidden = true;
    host.append(this.#notice);
    host.addEventListener('keydown', (event) => this.#onKey(event));
    // The wheel belongs to the page; with Ctrl it zooms the diagram.
    host.addEventListener('wheel', (event) => event.ctrlKey || event.metaKey || event.stopPropagation(), { capture: true });
    new ResizeObserver(() => this.canvas.resized()).observe(host);
  }

  get canvas() {
    return this.#viewer.get('canvas');
  }

  async load(url) {
    const answer = await fetch(url, { headers: { Accept: 'application/xml' } });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    await this.#viewer.importXML(await answer.text());
    this.fit();
  }

  /** Shows the whole diagram in the middle, never larger than drawn. */
  fit() {
    const { outer } = this.canvas.viewbox();
    // From the model and not from the drawing, whose letters measure a little differently at each zoom.
    const inner = getBBox(this.canvas.getRootElement().children);
    const scale = Math.min(1, outer.width / (inner.width + 2 * MARGIN), outer.height / (inner.height + 2 * MARGIN));
    const [width, height] = [outer.width / scale, outer.height / scale];
    const [x, y] = [inner.x + (inner.width - width) / 2, inner.y + (inner.height - height) / 2];
    this.canvas.viewbox({ x, y, width, height });
  }

  zoomBy(factor) {
    this.canvas.zoom(Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, this.canvas.zoom() * factor)), 'auto');
  }

  /** Selects an element and brings it into view; false when the diagram has none of that id. */
  show(id) {
    const element = this.element(id);
    if (!element) return false;
    this.canvas.scrollToElement(element, 80);
    this.#viewer.get('selection').select(element);
    this.#host.scrollIntoView({ block: 'nearest' });
    return true;
  }

  onSelect(told) {
    this.#viewer.on('selection.changed', ({ newSelection }) => told(newSelection[0]?.id ?? null));
  }

  element(id) {
    return this.#viewer.get('elementRegistry').get(id);
  }

  /** Replaces what `layer` drew before: `markers` are [id, class], `badges` are [id, position, HTMLElement]. */
  draw(layer, markers, badges) {
    this.#erase(layer);
    const drawn = markers.filter(([id]) => this.element(id));
    for (const [id, name] of drawn) this.canvas.addMarker(id, name);
    this.#drawn.set(layer, drawn);
    for (const [id, position, html] of badges) {
      if (this.element(id)) this.#viewer.get('overlays').add(id, layer, { position, html, scale: { min: 0.75 } });
    }
  }

  say(text) {
    this.#notice.textContent = text;
    this.#notice.hidden = !text;
  }

  #drawn = new Map();

  #erase(layer) {
    for (const [id, name] of this.#drawn.get(layer) ?? []) this.canvas.removeMarker(id, name);
    this.#viewer.get('overlays').remove({ type: layer });
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#host) return;
    const act = {
      '+': () => this.zoomBy(ZOOM_STEP),
      '=': () => this.zoomBy(ZOOM_STEP),
      '-': () => this.zoomBy(1 / ZOOM_STEP),
      0: () => this.fit(),
      ArrowLeft: () => this.canvas.scroll({ dx: STEP_PIXELS, dy: 0 }),
      ArrowRight: () => this.canvas.scroll({ dx: -STEP_PIXELS, dy: 0 }),
      ArrowUp: () => this.canvas.scroll({ dx: 0, dy: STEP_PIXELS }),
      ArrowDown: () => this.canvas.scroll({ dx: 0, dy: -STEP_PIXELS }),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

/** A small round mark over a shape; `text` is what it shows, `meaning` what it tells on hover and to screen readers. */
export function badge(name, text, meaning) {
  const mark = document.createElement('span');
  mark.className = `diagram-badge ${name}`;
  mark.textContent = text;
  mark.title = meaning;
  mark.setAttribute('role', 'img');
  mark.setAttribute('aria-label', meaning);
  return mark;
}
