/* Colours: system, light or dark, kept in the browser. Loaded before the page is drawn, so that nothing flashes. */
'use strict';
(() => {
  const choices = ['system', 'light', 'dark'];
  const symbols = { system: 'system', light: 'sun', dark: 'moon' };
  const root = document.documentElement;
  let choice = root.dataset.theme || 'system';
  try { choice = localStorage.getItem('scanpost-theme') || choice; } catch { /* storage is off: system it is */ }
  if (!choices.includes(choice)) choice = 'system';
  root.dataset.theme = choice;

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const use = button.querySelector('use');
    const sprite = document.body.dataset.sprite;
    const show = () => {
      root.dataset.theme = choice;
      use.setAttribute('href', `${sprite}#${symbols[choice]}`);
      button.querySelector('span').textContent = `Colours: ${choice}`;
      button.title = `Colours: ${choice}`;
    };
    button.hidden = false;
    button.addEventListener('click', () => {
      choice = choices[(choices.indexOf(choice) + 1) % choices.length];
      try { localStorage.setItem('scanpost-theme', choice); } catch { /* not kept then */ }
      show();
    });
    show();
    // What is chosen for the account counts here, too: this browser's own choice is forgotten.
    document.getElementById('preferences')?.addEventListener('submit', () => {
      try { localStorage.removeItem('scanpost-theme'); } catch { /* nothing is kept */ }
    });
  });
})();
