// htmx, built as a file of our own: it fetches the live parts of pages. console.js says when.

import htmx from 'htmx.org';

window.htmx = htmx;
