// The viewer island: every element of class `diagram` on the page becomes a live BPMN diagram.
//
//   data-diagram-url    BPMN 2.0 XML
//   data-state-url      JSON: {status, path: [{element, count}], waits: [{element, kind, due_at}],
//                       incidents: [{element, message}]}; path names sequence flows too
//   data-poll-ms        how often the state is asked for while the page is visible
//   data-findings-url   JSON: [{code, severity, element, message, remedy}]; or the same inside the element
//                       in <script type="application/json" class="findings">
//   data-label, data-label-waiting, data-label-incident, data-label-failed   words in the reader's language
//
// An element anywhere on the page with `data-element="Task_1"` selects and shows that shape when clicked; when the
// page has more diagrams than one, `data-diagram="id"` tells which. The one that is selected gets aria-current.

import 'bpmn-js/dist/assets/diagram-js.css';
import 'bpmn-js/dist/assets/bpmn-js.css';
import './viewer.css';

import { Diagram } from './diagram.js';
import { drawFindings, readFindings } from './findings.js';
import { drawState, followState } from './state.js';

const diagrams = new Map();

async function mount(host) {
  const inline = host.querySelector('script.findings');
  const diagram = new Diagram(host);
  diagrams.set(host, diagram);
  try {
    await diagram.load(host.dataset.diagramUrl);
    drawFindings(diagram, await readFindings(inline, host.dataset.findingsUrl));
  } catch (error) {
    diagram.say(`${host.dataset.labelFailed ?? 'The diagram could not be shown.'} ${error.message}`);
    return;
  }
  diagram.onSelect((id) => markCurrent(host, id));
  host.dataset.ready = '';
  if (host.dataset.stateUrl) {
    followState(host.dataset, (state) => drawState(diagram, state, host.dataset));
  }
}

function hostFor(link) {
  return link.dataset.diagram ? document.getElementById(link.dataset.diagram) : document.querySelector('.diagram');
}

function markCurrent(host, id) {
  for (const link of document.querySelectorAll('[data-element]')) {
    if (hostFor(link) !== host) continue;
    if (link.dataset.element === id) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('[data-element]');
  const diagram = link && diagrams.get(hostFor(link));
  if (diagram?.show(link.dataset.element)) event.preventDefault();
});

for (const host of document.querySelectorAll('.diagram')) mount(host);
