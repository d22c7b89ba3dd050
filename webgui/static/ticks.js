/* Lists with boxes to tick: one box that ticks all, and how many are ticked. The page works without. */
'use strict';
(() => {
  const boxes = () => [...document.querySelectorAll('#bulk input[name=ids]')];

  const count = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    const all = document.querySelector('[data-tick-all]');
    if (all) { all.hidden = false; all.checked = ticked > 0 && ticked === boxes().length; all.indeterminate = ticked > 0 && !all.checked; }
    const option = document.querySelector('#bulk select[name=scope] option[value=ids]');
    if (option) option.textContent = ticked ? `The ${ticked} ticked` : 'The ticked ones';
  };

  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-tick-all]')) for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.closest('#bulk')) count();
  });
  document.addEventListener('scanpost:refreshed', count);
  count();
})();
