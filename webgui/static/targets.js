/* A target test shown while it climbs. Without scripts the page shows it when it is fetched again. */
'use strict';
(() => {
  const section = document.querySelector('[data-ladder]');
  if (!section) return;
  const rungs = document.getElementById('rungs'), said = document.getElementById('ladder-said');
  // The same table as the page has without scripts
  const table = (rows) => {
    const made = document.getElementById('contexts-template').content.firstElementChild.cloneNode(true);
    const put = (name, text, more) => Object.assign(document.createElement(name), { textContent: text, ...more });
    made.open = rows.some((row) => row.lately && !row.accepted.length);
    made.querySelector('tbody').replaceChildren(...rows.map((row) => {
      const line = document.createElement('tr'), head = put('th', row.name, { scope: 'row', title: row.sop_class });
      if (row.lately) head.append(' ', put('small', 'got lately', { className: 'soft' }));
      const yes = put('td', row.accepted.join(', ') || '–'), no = put('td', row.rejected.join(', ') || '–');
      yes.dataset.label = 'Accepted'; no.dataset.label = 'Rejected';
      if (!row.accepted.length) no.className = row.lately ? 'bad-text' : 'warn-text';
      if (row.why) no.append(' ', put('small', row.why));
      line.append(head, yes, no);
      return line;
    }));
    return made;
  };
  const look = async () => {
    const answer = await fetch(section.dataset.ladder, { headers: { Accept: 'application/json' } });
    if (!answer.ok) return;
    const told = await answer.json();
    rungs.replaceChildren(...told.steps.map((step) => {
      const item = document.getElementById(step.ok ? 'rung-ok' : 'rung-bad').content.firstElementChild.cloneNode(true);
      item.querySelector('strong').textContent = step.title;
      item.querySelector('small').textContent = `${Math.round(step.seconds * 1000)} ms`;
      item.querySelector('.note').textContent = step.text;
      if (step.contexts && step.contexts.length) item.querySelector('.note').after(table(step.contexts));
      return item;
    }));
    if (told.running) { setTimeout(look, 300); return; }
    said.replaceChildren(document.getElementById(told.ok ? 'said-ok' : 'said-failed').content.cloneNode(true));
  };
  look();
})();
