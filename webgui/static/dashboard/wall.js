/* Says how many lines of what needs attention have no room on the wall: nothing scrolls there. It must not know what they say. */
'use strict';
(() => {
  const list = document.getElementById('attention'), more = document.getElementById('attention-more');
  if (!list || !more) return;

  const beyond = () => {
    const end = list.getBoundingClientRect().bottom + 1;
    return [...list.querySelectorAll('[data-key]')].filter((row) => row.getBoundingClientRect().bottom > end);
  };

  const look = () => {
    more.hidden = true;
    if (beyond().length) {
      more.textContent = 'and more';  // takes its room before anything is measured
      more.hidden = false;
    }
    const cut = beyond();
    for (const row of list.querySelectorAll('[data-key]')) row.classList.toggle('cut', cut.includes(row));
    more.textContent = `and ${cut.length} more`;
  };

  document.addEventListener('scanpost:rows', (event) => { if (event.detail.topic === 'attention') look(); });
  addEventListener('resize', look);
  document.fonts?.ready.then(look);
  look();
})();
