/* The queue: bars that follow live figures. The page works without. */
'use strict';
(() => {
  const rows = document.querySelector('tbody[data-topic=progress]');
  if (!rows) return;
  new MutationObserver((changes) => {
    for (const row of new Set(changes.map((one) => one.target.parentElement?.closest('tr')))) {
      const bar = row?.querySelector('progress');
      const figure = (name) => Number(row?.querySelector(`[data-f=${name}]`)?.textContent.replace(/\D/g, ''));
      if (bar && figure('total') > 0) { bar.max = figure('total'); bar.value = figure('sent'); }
    }
  }).observe(rows, { subtree: true, characterData: true, childList: true });
})();
