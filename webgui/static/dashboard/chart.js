/* Draws the lines of images per second from the rows of topic `chart`. It must not ask for anything. */
'use strict';
(() => {
  const points = new Map();

  const draw = () => {
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

  document.addEventListener('scanpost:rows', (event) => {
    const { topic, rows, whole } = event.detail;
    if (topic !== 'chart') return;
    if (whole) points.clear();
    for (const [key, row] of Object.entries(rows)) {
      if (row === null) points.delete(Number(key));
      else points.set(Number(key), { ...points.get(Number(key)), ...row });
    }
    draw();
  });
})();
