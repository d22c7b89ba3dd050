/* Draws rates and queues with uPlot in place of the server's SVG: live from topic `chart` up to an hour, else fetched.
   Names of targets go in by textContent only. It must not know what the figures mean. */
'use strict';
(() => {
  const home = document.getElementById('charts');
  if (!home || typeof uPlot === 'undefined') return;
  const LIVE_S = 3600, EVERY_MS = 60000, HEIGHT = 132;
  // On a wall the charts fill their card.
  const high = () => (document.documentElement.classList.contains('wall') && innerWidth >= 900 ? Math.max(HEIGHT, home.parentElement.clientHeight - 64) : HEIGHT);
  const figures = [...home.querySelectorAll('figure')];
  const sync = uPlot.sync('charts');
  let span = Number(home.dataset.span), width = Number(home.dataset.width), range = home.dataset.range, unit = 'images';
  let marks = JSON.parse(home.dataset.marks || '[]');
  let plots = [], names = [], live = new Map(), fetched = null, asked = 0;

  const size = () => Math.max(11, Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.7));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const QUEUES = ['--wait', '--held', '--warn', '--busy', '--bad', '--ok', '--accent', '--soft', '--off'];
  const number = (value) => (value === null || value === undefined ? '–' : value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en').replaceAll(',', '\u202f') : value.toFixed(value >= 10 ? 1 : 2));
  // The zone that the page tells times in; a browser may not know its name.
  const zone = (() => {
    try {
      return new Intl.DateTimeFormat('en-GB', { timeZone: document.documentElement.dataset.zone }).resolvedOptions().timeZone;
    } catch {
      return undefined;
    }
  })();
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit', second: width < 60 ? '2-digit' : undefined });

  const drawMarks = (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour('--soft');
    ctx.setLineDash([4, 4]);
    ctx.font = `${size() * devicePixelRatio}px system-ui, sans-serif`;
    // Axes were drawn before, with settings of their own.
    ctx.textAlign = 'left';
    ctx.textBaseline = 'alphabetic';
    let right = -Infinity;
    for (const { at, label } of marks) {
      const x = plot.valToPos(at, 'x', true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (plot !== plots[0]) continue;
      const wide = ctx.measureText(label).width;
      const from = Math.max(bbox.left, Math.min(x + 4 * devicePixelRatio, bbox.left + bbox.width - wide));
      if (from < right) continue;
      ctx.fillText(label, from, bbox.top + size() * devicePixelRatio);
      right = from + wide + 8 * devicePixelRatio;
    }
    ctx.restore();
  };

  const axis = (extra) => ({ stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: `${size()}px system-ui, sans-serif`, ...extra });

  const options = (series) => ({
    width: Math.max(200, home.querySelector('figure').clientWidth), height: high(), legend: { show: false },
    cursor: { sync: { key: sync.key }, y: false, points: { size: 6 } },
    tzDate: (seconds) => (zone ? uPlot.tzDate(new Date(seconds * 1000), zone) : new Date(seconds * 1000)),
    scales: { x: { time: true }, y: { range: (plot, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [axis({ size: 2.2 * size(), values: (plot, ticks) => ticks.map((tick) => clock(tick).slice(0, width < 60 && span <= 600 ? 8 : 5)), space: 6.4 * size() }), axis({ size: 4.2 * size(), space: 2.6 * size(), values: (plot, ticks) => ticks.map((tick) => number(tick)) })],
    series: [{}, ...series],
    hooks: { draw: [drawMarks], setCursor: [say] },
  });

  const line = (name, fill) => ({ stroke: () => colour(name), width: 2, fill: fill ? () => colour(fill) : undefined, points: { show: false }, spanGaps: false });

  const rows = () => {
    const from = span <= LIVE_S ? live : fetched || new Map();
    const newest = Math.max(0, ...from.keys());
    return [...from].filter(([start]) => newest - start < span).sort(([a], [b]) => a - b);
  };

  const tables = (found) => {
    const starts = found.map(([start]) => start);
    const pick = (key) => found.map(([, row]) => row[key]);
    const rates = unit === 'images' ? [pick('in'), pick('out')] : [pick('bin'), pick('bout')].map((values) => values.map((value) => value / 1e6));
    const queues = [...new Set(found.flatMap(([, row]) => Object.keys(row.q || {})))].slice(0, QUEUES.length);
    return [[starts, ...rates], [starts, ...queues.map((name) => found.map(([, row]) => row.q?.[name] ?? null))], queues];
  };

  const legend = (place, entries) => {
    place.replaceChildren(...entries.map(([kind, text]) => {
      const span = document.createElement('span');
      span.className = kind;
      span.textContent = text;
      return span;
    }));
  };

  // What is under the cursor, or the newest.
  function say(plot) {
    const which = plots.indexOf(plot);
    if (which < 0) return;
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    const values = plot.data.slice(1).map((points) => number(points[at]));
    const place = figures[which].querySelector('.legend'), top = figures[which].querySelector('.chart-top');
    if (which === 0) legend(place, [['in', `in ${values[0] ?? '–'}`], ['out', `out ${values[1] ?? '–'}`]]);
    else legend(place, names.length ? names.map((name, n) => [`q${n}`, `${name} ${values[n]}`]) : [['none', 'nothing waited']]);
    top.textContent = plot.cursor.idx === null || plot.cursor.idx === undefined ? (which === 0 ? (unit === 'images' ? 'images/s' : 'MB/s') : 'deliveries waiting') : clock(plot.data[0][at]);
  }

  const build = (data) => {
    for (const plot of plots) plot.destroy();
    plots = [];
    for (const figure of figures) for (const el of figure.querySelectorAll('svg, .chart-ends')) el.remove();
    plots.push(new uPlot(options([line('--busy', '--busy-tint'), line('--ok')]), data[0], figures[0]));
    plots.push(new uPlot(options(names.map((_, n) => line(QUEUES[n]))), data[1].length > 1 ? data[1] : [data[1][0]], figures[1]));
    plots.forEach(say);
  };

  const draw = (anew = false) => {
    const found = rows();
    if (!found.length) return;
    const [rates, queues, fresh] = tables(found);
    if (anew || !plots.length || fresh.join('\n') !== names.join('\n')) {
      names = fresh;
      build([rates, queues]);
      return;
    }
    plots[0].setData(rates);
    plots[1].setData(queues);
    plots.forEach(say);
  };

  const load = async () => {
    asked = Date.now();
    try {
      const answer = await fetch(`/api/v1/dashboard/chart?range=${range}`, { headers: { Accept: 'application/json' } });
      if (!answer.ok) return;
      const body = await answer.json();
      if (body.range !== range) return;
      marks = body.marks;
      const found = new Map(Object.entries(body.rows).map(([start, row]) => [Number(start), row]));
      if (span <= LIVE_S) { if (!live.size) live = found; } else fetched = found;
      draw();
    } catch { /* away: the next look comes by itself */ }
  };

  document.addEventListener('scanpost:rows', (event) => {
    const { topic, rows: changed, whole } = event.detail;
    if (topic !== 'chart') return;
    if (whole) live.clear();
    for (const [key, row] of Object.entries(changed)) {
      if (row === null) live.delete(Number(key));
      else live.set(Number(key), { ...live.get(Number(key)), ...row });
    }
    if (span <= LIVE_S && !document.hidden) draw();
  });

  setInterval(() => { if (!document.hidden && Date.now() - asked >= EVERY_MS && (span > LIVE_S || document.body.dataset.live !== 'on')) load(); }, 5000);

  for (const link of document.querySelectorAll('a[data-range]')) {
    link.addEventListener('click', (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      for (const other of document.querySelectorAll('a[data-range]')) other.removeAttribute('aria-current');
      link.setAttribute('aria-current', 'true');
      range = link.dataset.range;
      span = Number(link.dataset.span);
      width = span > LIVE_S ? 60 : 10;
      history.replaceState(null, '', link.href);
      fetched = null;
      draw(true);
      load();
    });
  }
  const units = document.querySelector('.unit-choice');
  if (units) {
    units.hidden = false;
    units.addEventListener('click', (event) => {
      const button = event.target.closest('[data-unit]');
      if (!button) return;
      unit = button.dataset.unit;
      for (const one of units.children) one.setAttribute('aria-pressed', String(one === button));
      draw(true);
    });
  }
  new ResizeObserver(() => { for (const [n, plot] of plots.entries()) plot.setSize({ width: Math.max(200, figures[n].clientWidth), height: high() }); }).observe(home);
  const again = () => { if (plots.length) draw(true); };
  document.getElementById('theme')?.addEventListener('click', () => setTimeout(again));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  load();
})();
