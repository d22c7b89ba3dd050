/* A target test shown while it climbs. Without scripts the page shows it when it is fetched again. */
'use strict';
(() => {
  const section = document.querySelector('[data-ladder]');
  if (!section) return;
  const rungs = document.getElementById('rungs'), said = document.getElementById('ladder-said');
  const look = async () => {
    const answer = await fetch(section.dataset.ladder, { headers: { Accept: 'application/json' } });
    if (!answer.ok) return;
    const told = await answer.json();
    rungs.replaceChildren(...told.steps.map((step) => {
      const item = document.getElementById(step.ok ? 'rung-ok' : 'rung-bad').content.firstElementChild.cloneNode(true);
      item.querySelector('strong').textContent = step.title;
      item.querySelector('small').textContent = `${Math.round(step.seconds * 1000)} ms`;
      item.querySelector('.note').textContent = step.text;
      return item;
    }));
    if (told.running) { setTimeout(look, 300); return; }
    said.replaceChildren(document.getElementById(told.ok ? 'said-ok' : 'said-failed').content.cloneNode(true));
  };
  look();
})();
