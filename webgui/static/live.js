/* Keeps every page up to date over /ws: rows of [data-topic], word of what changed for [data-refresh] (app.js fetches),
   toasts. It must not format figures (the server does) and never makes HTML out of text: every value goes in by
   textContent, so that whatever a scanner sends stays text. Protocol: webgui/live.py. */
'use strict';
(() => {
  const STALE_MS = 5000;
  const BLOCKED_MS = 15000;
  const LONGEST_REST_MS = 8000;
  const ANNOUNCE_MS = 10000;
  const TOAST_MS = { ok: 8000, held: 12000, warn: 15000, bad: 30000 };
  const MOST_TOASTS = 4;
  const SVG = 'http://www.w3.org/2000/svg';
  const sprite = document.body.dataset.sprite;
  const badge = document.getElementById('live');
  const toasts = document.getElementById('toasts');
  const withheld = new Map();
  let socket = null, attempts = 0, lastFrame = 0, lastFigures = '', timer = 0, ended = false, lost = performance.now();
  let wanted = '', plain = false;

  const placesOf = (topic) => [...document.querySelectorAll(`[data-topic="${CSS.escape(topic)}"]`)];
  const tokens = (name) => new Set([...document.querySelectorAll(`[data-${name}]`)].flatMap((el) => el.getAttribute(`data-${name}`).split(/\s+/)).filter(Boolean));

  // Rows

  const iconOf = (name) => {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    svg.appendChild(document.createElementNS(SVG, 'use')).setAttribute('href', `${sprite}#${name}`);
    return svg;
  };

  const chip = ([level, word]) => {
    const outer = document.createElement('span');
    outer.className = `chip ${level}`;
    const text = document.createElement('span');
    text.textContent = word;
    outer.append(iconOf(level), text);
    return outer;
  };

  const rowOf = (place, key) => (place.dataset.key === key ? place : [...place.querySelectorAll('[data-key]')].find((el) => el.dataset.key === key));
  const own = (url) => url.startsWith('/') && !url.startsWith('//') && !url.startsWith('/\\');

  const fill = (el, row) => {
    const fields = (attribute, name) => [...el.querySelectorAll(`[data-${attribute}="${name}"]`), ...(el.getAttribute(`data-${attribute}`) === name ? [el] : [])];
    for (const [name, value] of Object.entries(row)) {
      if (name === 'level') el.dataset.level = value;
      else if (name === 'order') el.dataset.order = value;
      for (const node of fields('f', name)) {
        if (Array.isArray(value)) node.replaceChildren(...value.map(chip));
        else if (node.tagName === 'PROGRESS') node.value = Number(value);
        else node.textContent = value;
      }
      for (const node of fields('title', name)) node.title = value;
      for (const node of fields('value', name)) node.value = value;
      for (const node of fields('href', name)) if (own(String(value))) node.setAttribute('href', value); else node.removeAttribute('href');
      for (const node of fields('show', name)) node.hidden = !value;
    }
  };

  const insert = (place, key, row) => {
    const template = place.querySelector('template');
    if (!template) return;
    const el = template.content.firstElementChild.cloneNode(true);
    el.dataset.key = key;
    fill(el, row);
    el.classList.add('fresh');
    const after = (other) => ('order' in row ? Number(other.dataset.order) > row.order : other.dataset.key > key);
    place.insertBefore(el, [...place.querySelectorAll('[data-key]')].find(after) || template);
  };

  const put = (place, key, row) => {
    const el = rowOf(place, key);
    if (row === null) { if (place.querySelector('template')) el?.remove(); }
    else if (!el) insert(place, key, row);
    else {
      fill(el, row);
      const template = place.querySelector('template');
      if ('order' in row && template) place.insertBefore(el, [...place.querySelectorAll('[data-key]')].find((other) => other !== el && Number(other.dataset.order) > row.order) || template);
    }
  };

  const showEmpty = (topic) => {
    const empty = document.querySelector(`[data-empty="${CSS.escape(topic)}"]`);
    if (empty) empty.hidden = placesOf(topic).some((place) => place.querySelector('[data-key]'));
  };

  // New rows wait behind a button (data-hold="id of it") while the pointer or the focus is in the table: rows must not
  // move under it.

  const pillOf = (place) => (place.dataset.hold ? document.getElementById(place.dataset.hold) : null);
  const busyReading = (place) => place.closest('section').matches(':hover') || place.contains(document.activeElement);

  const withhold = (place, key, row) => {
    if (withheld.has(key)) {
      if (row === null) withheld.delete(key);
      else Object.assign(withheld.get(key), row);
      return true;
    }
    if (row === null || rowOf(place, key) || !busyReading(place)) return false;
    withheld.set(key, { ...row });
    return true;
  };

  const showPill = (pill) => {
    pill.hidden = withheld.size === 0;
    pill.textContent = `${withheld.size} new: show`;
  };

  const showWithheld = (place, pill) => {
    for (const [key, row] of withheld) put(place, key, row);
    withheld.clear();
    showPill(pill);
    showEmpty(place.dataset.topic);
  };

  // Topics

  const applyTo = (place, topic, rows, whole) => {
    const pill = pillOf(place);
    if (whole && place.querySelector('template')) {
      for (const el of [...place.querySelectorAll('[data-key]')]) if (!Object.hasOwn(rows, el.dataset.key)) el.remove();
      if (pill) for (const key of withheld.keys()) if (!Object.hasOwn(rows, key)) withheld.delete(key);
    }
    for (const [key, row] of Object.entries(rows)) if (!pill || !withhold(place, key, row)) put(place, key, row);
    if (pill) showPill(pill);
    if (place.dataset.announce !== undefined) announce(place.dataset.announce ? place.querySelector(place.dataset.announce).textContent.trim() : place.textContent.trim());
  };

  const apply = (topic, rows, whole) => {
    for (const place of placesOf(topic)) applyTo(place, topic, rows, whole);
    showEmpty(topic);
    document.dispatchEvent(new CustomEvent('scanpost:rows', { detail: { topic, rows, whole } }));
  };

  let announced = '', announcedAt = -ANNOUNCE_MS, announceTimer = 0;
  const announce = (text) => {
    clearTimeout(announceTimer);
    if (text === announced) return;
    const wait = Math.max(0, announcedAt + ANNOUNCE_MS - performance.now());
    announceTimer = setTimeout(() => {
      announced = text;
      announcedAt = performance.now();
      document.getElementById('announce').textContent = text;
    }, wait);
  };

  // Toasts: what people should know wherever they are. They stay while the pointer or the focus is on them.

  const toast = (frame) => {
    const level = Object.hasOwn(TOAST_MS, frame.sev) ? frame.sev : 'warn';
    const el = document.createElement('div');
    el.className = `toast ${level}`;
    const text = document.createElement(frame.href && own(frame.href) && document.querySelector(`nav.menu a[href="${CSS.escape(`/${frame.href.split(/[/?]/)[1]}`)}"]`) ? 'a' : 'span');
    if (text.tagName === 'A') text.href = frame.href;
    text.textContent = frame.text;
    const close = document.createElement('button');
    close.type = 'button';
    close.className = 'quiet';
    close.setAttribute('aria-label', 'Close');
    close.append(iconOf('close'));
    close.addEventListener('click', () => el.remove());
    el.append(iconOf(level), text, close);
    const leave = () => { if (el.matches(':hover') || el.contains(document.activeElement)) setTimeout(leave, 2000); else el.remove(); };
    setTimeout(leave, TOAST_MS[level]);
    toasts.append(el);
    while (toasts.children.length > MOST_TOASTS) toasts.firstElementChild.remove();
  };

  // Connection

  const say = (state, text) => {
    badge.dataset.state = state;
    badge.lastElementChild.textContent = text;
    document.body.classList.toggle('stale', state === 'bad' && (tokens('topic').size > 0 || tokens('refresh').size > 0));
    document.body.dataset.live = state === 'ok' ? 'on' : 'off';
  };

  // In the zone that the page tells times in; a browser may not know its name.
  const clockTime = () => {
    try {
      return new Date().toLocaleTimeString('en-GB', { timeZone: document.documentElement.dataset.zone });
    } catch {
      return new Date().toLocaleTimeString('en-GB');
    }
  };

  const changed = (topic) => document.dispatchEvent(new CustomEvent('scanpost:changed', { detail: topic }));

  const hear = (event) => {
    const frame = JSON.parse(event.data);
    lastFrame = performance.now();
    if (frame.t === 'bye') {
      ended = true;
      location.reload();
    } else if (frame.t === 'snap' || frame.t === 'd') {
      apply(frame.topic, frame.d, frame.t === 'snap');
    } else if (frame.t === 'inv') {
      changed(frame.topic);
    } else if (frame.t === 'event') {
      toast(frame);
    } else if (frame.t === 'resync') {
      withheld.clear();
    }
    if (frame.t !== 'resync') {
      if (lost && attempts > 0) for (const topic of tokens('refresh')) changed(topic);
      attempts = 0;
      lost = 0;
      plain = false;
      lastFigures = clockTime();
      say('ok', 'live');
    }
  };

  // What changed between the making of what is shown and the subscription would be missed otherwise.
  const subscribe = (again = true) => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const since = Number(document.body.dataset.seq) || 0;
    const frame = JSON.stringify(document.hidden ? { op: 'pause' }
      : { op: 'sub', topics: [...new Set([...tokens('topic'), ...tokens('feed')])], marks: [...tokens('refresh')], since, events: true });
    const same = frame.replace(/"since":\d+,/, '');
    if (same === wanted && !again) return;
    wanted = same;
    socket.send(frame);
  };

  const connect = () => {
    clearTimeout(timer);
    const mine = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
    socket = mine;
    lastFrame = performance.now();
    mine.addEventListener('open', () => subscribe());
    mine.addEventListener('message', (event) => { if (socket === mine) hear(event); });
    mine.addEventListener('close', () => { if (socket === mine) again(); });
  };

  const again = () => {
    socket = null;
    if (ended) return;
    lost ||= performance.now();
    if (!plain) sayStale();
    const wait = Math.min(LONGEST_REST_MS, 500 * 2 ** attempts) * (0.5 + Math.random());
    attempts += 1;
    if (attempts > 1) {  // A refused websocket does not say why: is the session gone?
      fetch('/api/v1/status', { method: 'HEAD' }).then((answer) => { if (answer.status === 401) location.reload(); }, () => {});
    }
    clearTimeout(timer);
    timer = setTimeout(connect, wait);
  };

  const sayStale = () => say('bad', lastFigures ? `reconnecting, figures of ${lastFigures}` : 'connecting');

  setInterval(() => {
    if (socket && performance.now() - lastFrame > STALE_MS) {
      sayStale();
      const dead = socket;
      if (dead.readyState === WebSocket.OPEN && performance.now() - lastFrame > 3 * STALE_MS) {
        again();
        dead.close();
      }
    }
  }, 1000);

  // A proxy that lets no websocket through: app.js fetches the page every ten seconds, also what comes live otherwise.
  document.addEventListener('scanpost:refreshed', () => {
    if (lost && performance.now() - lost > BLOCKED_MS) {
      plain = true;
      lastFigures = clockTime();
      say('off', `figures of ${lastFigures}`);
    }
    subscribe(false);
  });

  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && socket === null && !ended) connect();
    else subscribe();
  });

  for (const place of document.querySelectorAll('[data-hold]')) {
    const pill = pillOf(place);
    place.closest('section').addEventListener('mouseleave', () => showWithheld(place, pill));
    pill.addEventListener('click', () => showWithheld(place, pill));
  }
  connect();
})();
