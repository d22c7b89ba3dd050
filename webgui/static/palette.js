/* Going anywhere by keys: Ctrl-K and a few letters; ? tells all keys. It must not know pages: it offers what the menu and the page
   itself link to, and the search for a series. */
'use strict';
(() => {
  const MOST = 12;
  const make = (tag, text, properties = {}) => Object.assign(document.createElement(tag), { textContent: text }, properties);
  const open = () => document.querySelector('dialog[open]');

  // What can be gone to: the menu, then links and buttons of this page.
  const entries = () => {
    const found = new Map();
    for (const link of document.querySelectorAll('nav.menu a[href]')) found.set(link.href, { text: link.textContent.trim(), key: link.dataset.go, go: () => location.assign(link.href) });
    for (const link of document.querySelectorAll('main a.button[href], main a.row-link[href]')) if (!found.has(link.href)) found.set(link.href, { text: link.textContent.trim().replace(/\s+/g, ' '), here: true, go: () => link.click() });
    document.querySelectorAll('main form.act button').forEach((button, at) => found.set(`act ${at}`, { text: button.textContent.trim(), here: true, go: () => button.click() }));
    return [...found.values()].filter((one) => one.text);
  };

  const fits = (text, typed) => {
    const low = text.toLowerCase();
    return low.startsWith(typed) ? 3 : low.split(/[\s_-]+/).some((word) => word.startsWith(typed)) ? 2 : low.includes(typed) ? 1 : 0;
  };

  const search = (typed) => {
    const form = make('form', '', { method: 'post', action: '/series/search', hidden: true });
    form.append(make('input', '', { name: 'q', value: typed }));
    document.body.append(form);
    form.submit();
  };

  const show = (dialog) => {
    document.body.append(dialog);
    dialog.addEventListener('close', () => dialog.remove());
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    dialog.showModal();
  };

  const palette = () => {
    const dialog = make('dialog', '', { className: 'ask palette' });
    dialog.setAttribute('aria-label', 'Go to');
    const box = make('input', '', { type: 'text', autocomplete: 'off', spellcheck: false, maxLength: 255, placeholder: 'A page, an act of this page, or a series' });
    for (const [name, value] of Object.entries({ role: 'combobox', 'aria-label': 'Go to', 'aria-expanded': 'true', 'aria-controls': 'palette-list', 'aria-autocomplete': 'list' })) box.setAttribute(name, value);
    const list = make('ul', '', { id: 'palette-list' });
    list.setAttribute('role', 'listbox');
    list.setAttribute('aria-label', 'Where to');
    dialog.append(box, list);
    const all = entries();
    let shown = [], at = 0;

    const mark = () => {
      [...list.children].forEach((item, number) => item.setAttribute('aria-selected', String(number === at)));
      const item = list.children[at];
      if (item) { box.setAttribute('aria-activedescendant', item.id); item.scrollIntoView({ block: 'nearest' }); } else box.removeAttribute('aria-activedescendant');
    };

    const fill = () => {
      const typed = box.value.trim().toLowerCase();
      shown = all.map((one) => ({ ...one, rank: typed ? fits(one.text, typed) : one.here ? 1 : 2 })).filter((one) => one.rank).sort((a, b) => b.rank - a.rank).slice(0, MOST);
      if (typed && document.querySelector('nav.menu a[href="/series"]')) shown.push({ text: `Search series for “${box.value.trim()}”`, go: () => search(box.value.trim()) });
      list.replaceChildren(...shown.map((one, number) => {
        const item = make('li', '', { id: `palette-${number}` });
        item.setAttribute('role', 'option');
        item.append(make('span', one.text));
        if (one.key) item.append(make('kbd', `g ${one.key}`)); else if (one.here) item.append(make('small', 'here'));
        item.addEventListener('click', () => choose(number));
        return item;
      }));
      at = 0;
      mark();
    };

    const choose = (number) => {
      const one = shown[number];
      if (!one) return;
      dialog.close();
      one.go();
    };

    box.addEventListener('input', fill);
    box.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && shown.length) { event.preventDefault(); at = (at + step + shown.length) % shown.length; mark(); }
      if (event.key === 'Enter') { event.preventDefault(); choose(at); }
    });
    show(dialog);
    fill();
    box.focus();
  };

  const keys = () => {
    const dialog = make('dialog', '', { className: 'ask keys' });
    const heading = make('h2', 'Keys', { id: 'keys-title' });
    dialog.setAttribute('aria-labelledby', heading.id);
    const list = make('dl', '');
    const told = [['Ctrl K', 'go anywhere'], ['/', 'the search of this page'], ['j  k', 'next and previous row'], ['Enter', 'open the row'], ['Esc', 'leave a field or dialog'], ['?', 'these keys']];
    for (const link of new Map([...document.querySelectorAll('nav.menu a[data-go]')].map((one) => [one.dataset.go, one])).values()) if (link.dataset.go) told.push([`g ${link.dataset.go}`, link.textContent.trim()]);
    for (const [key, what] of told) {
      const row = make('div', '');
      const name = make('dt', '');
      name.append(make('kbd', key));
      row.append(name, make('dd', what));
      list.append(row);
    }
    const form = make('form', '', { method: 'dialog' });
    form.append(make('button', 'Close', { className: 'primary' }));
    dialog.append(heading, list, form);
    show(dialog);
  };

  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (!open()) palette();
    } else if (event.key === '?' && !event.ctrlKey && !event.metaKey && !event.altKey && !open() && !event.target.closest('input, textarea, select, [contenteditable]')) {
      event.preventDefault();
      keys();
    }
  });

  const button = document.getElementById('palette');
  if (button) { button.hidden = false; button.addEventListener('click', palette); }
})();
