/* The queue: one box that ticks all, and bars that follow live figures. The page works without. */
'use strict';
(() => {
  const all = document.querySelector('[data-tick-all]');
  const boxes = () => [...document.querySelectorAll('#queue-rows input[name=ids]')];
  const scope = () => document.querySelector('#bulk select[name=scope] option[value=ids]');

  const count = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    const box = document.querySelector('[data-tick-all]');
    if (box) { box.hidden = false; box.checked = ticked > 0 && ticked === boxes().length; box.indeterminate = ticked > 0 && !box.checked; }
    const option = scope();
    if (option) option.textContent = ticked ? `The ${ticked} ticked` : 'The ticked ones';
  };

  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-tick-all]')) for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.closest('#bulk')) count();
  });
  document.addEventListener('scanpost:refreshed', count);
  if (all) count();

  // Live rows change the words of a line; its bar follows.
  const rows = document.querySelector('tbody[data-topic=progress]');
  if (rows) {
    new MutationObserver((changes) => {
      for (const row of new Set(changes.map((one) => one.target.parentElement?.closest('tr')))) {
        const bar = row?.querySelector('progress');
        const figure = (name) => Number(row?.querySelector(`[data-f=${name}]`)?.textContent.replace(/\D/g, ''));
        if (bar && figure('total') > 0) { bar.max = figure('total'); bar.value = figure('sent'); }
      }
    }).observe(rows, { subtree: true, characterData: true, childList: true });
  }
})();
