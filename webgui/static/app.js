/* What every page has: regions that are fetched again, dialogs before acts, keys. It must not hold figures or formats:
   the server renders; here a region is replaced by the same region of a newly fetched page. Works without a socket. */
'use strict';
(() => {
  const EVERY_MS = 10000;
  const REST_MS = 1000;

  // Regions: <section id="queue-rows" data-refresh="queue">. Fetched again when the socket says that the topic changed,
  // and every ten seconds (data-calm: only when told); what is selected, focused or open survives (morph). Without a socket
  // also <tbody id data-topic>.

  let fetching = false, again = false, last = 0;
  const told = new Set();

  const busy = () => document.hidden || document.querySelector('dialog[open]') || document.querySelector('[data-refresh]:has(input:focus)');

  const refresh = async () => {
    const regions = document.body.dataset.live === 'on'
      ? [...document.querySelectorAll('[data-refresh][id]')].filter((el) => el.dataset.calm === undefined || told.has(el.dataset.refresh))
      : [...document.querySelectorAll('[data-refresh][id], [data-topic][id]')];
    if (!regions.length || busy()) return;
    if (fetching) { again = true; return; }
    fetching = true;
    last = Date.now();
    told.clear();
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html', 'X-Refresh': regions.map((el) => el.id).join(' ') } });
      if (answer.redirected && new URL(answer.url).pathname === '/login') { location.reload(); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const region of regions) {
        const other = fresh.getElementById(region.id);
        if (other) Idiomorph.morph(region, other, { ignoreActiveValue: true, callbacks: { beforeAttributeUpdated: keepState } });
      }
      document.body.dataset.seq = fresh.body.dataset.seq || document.body.dataset.seq;
      document.dispatchEvent(new CustomEvent('scanpost:refreshed'));
    } catch { /* away: the next try comes by itself */ } finally {
      fetching = false;
      if (again) { again = false; soon(); }
    }
  };

  const keepState = (name, node) => !(name === 'open' && node.tagName === 'DETAILS') && name !== 'checked';

  // Many open pages hear of a change at the same moment: those that need not hurry (data-calm) come one after another.
  let timer = 0;
  const soon = (spread = 0) => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; refresh(); }, Math.max(50, last + REST_MS - Date.now()) + spread * Math.random());
  };

  document.addEventListener('scanpost:changed', (event) => {
    const regions = [...document.querySelectorAll(`[data-refresh~="${CSS.escape(event.detail)}"]`)];
    if (!regions.length) return;
    told.add(event.detail);
    soon(regions.every((el) => el.dataset.calm !== undefined) ? REST_MS : 0);
  });
  setInterval(() => { if (Date.now() - last >= EVERY_MS) refresh(); }, EVERY_MS);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) soon(); });

  // Dialogs: <form data-confirm="Cancel 3 deliveries?" data-count="3" data-why="true">. Without scripts the server asks.

  const make = (tag, text, properties = {}) => Object.assign(document.createElement(tag), { textContent: text }, properties);

  const ask = (form) => new Promise((resolve) => {
    const dialog = make('dialog', '', { className: 'ask' });
    const count = Number(form.dataset.count || 0);
    const panel = make('form', '', { method: 'dialog' });
    const heading = make('h2', form.dataset.confirm || 'Why?');
    heading.id = 'ask-title';
    dialog.setAttribute('aria-labelledby', heading.id);
    panel.append(heading);
    let typed = null, why = null;
    if (count > 100) {
      const label = make('label', `Type ${count} to go on `, { className: 'field' });
      typed = make('input', '', { inputMode: 'numeric', autocomplete: 'off' });
      label.append(typed);
      panel.append(label);
    }
    if (form.dataset.why) {
      const label = make('label', 'Why? (stands in the audit) ', { className: 'field' });
      why = make('input', '', { maxLength: 200, autocomplete: 'off' });
      label.append(why);
      panel.append(label);
    }
    const buttons = make('div', '', { className: 'buttons' });
    const yes = make('button', form.querySelector('button').textContent.trim(), { className: 'primary', value: 'yes' });
    buttons.append(make('button', 'Back', { value: '', formNoValidate: true }), yes);
    panel.append(buttons);
    dialog.append(panel);
    if (typed) {
      yes.disabled = true;
      typed.addEventListener('input', () => { yes.disabled = typed.value.trim() !== String(count); });
    }
    // Enter means yes here: the first button of a form would be "Back".
    panel.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && event.target.tagName === 'INPUT') { event.preventDefault(); if (!yes.disabled) yes.click(); }
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? { why: why ? why.value : '' } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });

  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (!(form.dataset.confirm || form.dataset.why) || form.dataset.asked) return;
    event.preventDefault();
    const submitter = event.submitter;
    const answer = await ask(form);
    if (!answer) return;
    form.dataset.asked = 'true';
    if (answer.why) form.append(make('input', '', { type: 'hidden', name: 'reason', value: answer.why }));
    form.append(make('input', '', { type: 'hidden', name: 'confirmed', value: 'true' }));
    form.requestSubmit(submitter instanceof HTMLElement ? submitter : undefined);
  });

  // Keys: g and a letter goes to an area, / to the search box, j and k through rows, Escape leaves.

  let went = 0;
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input, textarea, select, [contenteditable], .cm-editor');
    if (event.key === 'Escape' && typing) { typing.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (event.key === 'g') { went = Date.now(); return; }
    if (Date.now() - went < 1500) {
      went = 0;
      const link = document.querySelector(`nav.menu [data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); location.assign(link.href); }
      return;
    }
    if (event.key === '/') {
      const box = document.querySelector('input[type=search]');
      if (box) { event.preventDefault(); box.focus(); box.select(); }
    } else if (event.key === 'j' || event.key === 'k') {
      const links = [...document.querySelectorAll('tbody tr a.row-link')];
      const at = links.indexOf(document.activeElement);
      const next = links[Math.min(Math.max(at + (event.key === 'j' ? 1 : -1), 0), links.length - 1)];
      if (next) { event.preventDefault(); next.focus(); }
    }
  });

  // The menu below "More" closes when one looks elsewhere.
  document.addEventListener('click', (event) => {
    for (const menu of document.querySelectorAll('details.more[open]')) if (!menu.contains(event.target)) menu.open = false;
  });
})();
