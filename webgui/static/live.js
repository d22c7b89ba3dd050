/* Keeps the dashboard up to date over /ws. It must not format figures (the server does) and never makes HTML out of
   text: every value goes in by textContent, so that whatever a scanner sends stays text. Protocol: webgui/live.py. */
'use strict';
(() => {
  const STALE_MS = 5000;
  const ANNOUNCE_MS = 10000;
  const SVG = 'http://www.w3.org/2000/svg';
  const sprite = document.body.dataset.sprite;
  const places = new Map([...document.querySelectorAll('[data-topic]')].map((el) => [el.dataset.topic, el]));
  const badge = document.getElementById('live');
  const points = new Map();
  const withheld = new Map();
  const pill = document.getElementById('show-new');
  let socket = null, attempts = 0, lastFrame = 0, lastFigures = '', timer = 0, ended = false;

  // Rows

  const chip = ([level, word]) => {
    const outer = document.createElement('span');
    outer.className = `chip ${level}`;
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    svg.appendChild(document.createElementNS(SVG, 'use')).setAttribute('href', `${sprite}#${level}`);
    const text = document.createElement('span');
    text.textContent = word;
    outer.append(svg, text);
    return outer;
  };

  const rowOf = (place, key) => [...place.querySelectorAll('[data-key]')].find((el) => el.dataset.key === key);

  const fill = (el, row) => {
    for (const [name, value] of Object.entries(row)) {
      if (name === 'level') el.dataset.level = value;
      else if (name === 'order') el.dataset.order = value;
      for (const node of el.querySelectorAll(`[data-f="${name}"]`)) {
        if (Array.isArray(value)) node.replaceChildren(...value.map(chip));
        else node.textContent = value;
      }
      for (const node of el.querySelectorAll(`[data-title="${name}"]`)) node.title = value;
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
    if (row === null) el?.remove();
    else if (el) fill(el, row);
    else insert(place, key, row);
  };

  const showEmpty = (topic) => {
    const empty = document.querySelector(`[data-empty="${topic}"]`);
    if (empty) empty.hidden = places.get(topic).querySelector('[data-key]') !== null;
  };

  // New arrivals wait behind a button while the pointer or the focus is in the table: rows must not move under it.

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

  const showWithheld = () => {
    const place = places.get('arrivals');
    for (const [key, row] of withheld) put(place, key, row);
    withheld.clear();
    showPill();
    showEmpty('arrivals');
  };

  const showPill = () => {
    pill.hidden = withheld.size === 0;
    pill.textContent = `${withheld.size} new: show`;
  };

  // Topics

  const drawChart = () => {
    const newest = Math.max(0, ...points.keys());
    for (const at of points.keys()) if (newest - at > 300) points.delete(at);
    const rows = [...points].sort(([a], [b]) => a - b);
    const largest = Math.max(0, ...rows.flatMap(([, row]) => [row.in, row.out]));
    let top = 1;
    for (let step = 1; top < largest; step *= 10) top = [1, 2, 5, 10].map((n) => n * step).find((n) => n >= largest) || top;
    for (const name of ['in', 'out']) {
      const line = rows.map(([at, row]) => `${(600 * (1 - (newest - at) / 300)).toFixed(1)},${(78 - 76 * row[name] / top).toFixed(1)}`);
      document.querySelector(`#chart polyline.${name}`).setAttribute('points', line.join(' '));
    }
    document.getElementById('chart-top').textContent = `${top.toLocaleString('en').replaceAll(',', '\u202f')} images/s`;
  };

  const chartPut = (key, row) => {
    if (row === null) points.delete(Number(key));
    else points.set(Number(key), { ...points.get(Number(key)), ...row });
  };

  const apply = (topic, rows, whole) => {
    if (topic === 'chart') {
      if (whole) points.clear();
      for (const [key, row] of Object.entries(rows)) chartPut(key, row);
      drawChart();
      return;
    }
    const place = places.get(topic);
    if (!place) return;
    if (whole && place.querySelector('template')) {
      for (const el of [...place.querySelectorAll('[data-key]')]) if (!Object.hasOwn(rows, el.dataset.key)) el.remove();
      if (topic === 'arrivals') for (const key of withheld.keys()) if (!Object.hasOwn(rows, key)) withheld.delete(key);
    }
    for (const [key, row] of Object.entries(rows)) {
      if (topic !== 'arrivals' || !withhold(place, key, row)) put(place, key, row);
    }
    if (topic === 'arrivals') showPill();
    if (topic === 'summary') announce(place.textContent.replace('Dashboard', '').trim());
    showEmpty(topic);
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

  // Connection

  const say = (state, text) => {
    badge.dataset.state = state;
    badge.lastElementChild.textContent = text;
    document.body.classList.toggle('stale', state === 'bad');
  };

  const clockTime = () => new Date().toLocaleTimeString('en-GB');

  const hear = (event) => {
    const frame = JSON.parse(event.data);
    lastFrame = performance.now();
    if (frame.t === 'bye') {
      ended = true;
      location.reload();
    } else if (frame.t === 'snap' || frame.t === 'd') {
      apply(frame.topic, frame.d, frame.t === 'snap');
    } else if (frame.t === 'resync') {
      withheld.clear();
    }
    if (frame.t !== 'resync') {
      attempts = 0;
      lastFigures = clockTime();
      say('ok', 'live');
    }
  };

  const subscribe = () => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const wanted = document.hidden ? { op: 'pause' } : { op: 'sub', topics: [...places.keys(), 'chart'] };
    socket.send(JSON.stringify(wanted));
  };

  const connect = () => {
    clearTimeout(timer);
    const own = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
    socket = own;
    lastFrame = performance.now();
    own.addEventListener('open', subscribe);
    own.addEventListener('message', (event) => { if (socket === own) hear(event); });
    own.addEventListener('close', () => { if (socket === own) again(); });
  };

  const again = () => {
    socket = null;
    if (ended) return;
    sayStale();
    const wait = Math.min(30000, 500 * 2 ** attempts) * (0.5 + Math.random());
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

  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && socket === null && !ended) connect();
    else subscribe();
  });
  places.get('arrivals').closest('section').addEventListener('mouseleave', showWithheld);
  pill.addEventListener('click', showWithheld);
  connect();
})();
