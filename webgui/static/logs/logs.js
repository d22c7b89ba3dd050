/* Follows the newest lines every two seconds until paused or read (pointer pressed, text selected). */
'use strict';
(() => {
  const button = document.getElementById('follow');
  const lines = document.getElementById('lines');
  if (!button || !lines.dataset.refresh) return;
  const sprite = document.body.dataset.sprite;
  let on = true;
  const show = () => {
    button.setAttribute('aria-pressed', String(on));
    button.querySelector('span').textContent = on ? 'Pause' : 'Follow';
    button.querySelector('use').setAttribute('href', `${sprite}#${on ? 'pause' : 'play'}`);
    if (on) lines.dataset.refresh = 'logs'; else lines.removeAttribute('data-refresh');
  };
  button.hidden = false;
  button.addEventListener('click', () => { on = !on; show(); });
  setInterval(() => {
    if (on && !document.hidden && !String(getSelection())) document.dispatchEvent(new CustomEvent('scanpost:changed', { detail: 'logs' }));
  }, 2000);
  show();
})();
