/* Uploads with a bar, folders, and files that are dropped on the page. Without it the plain form does. */
'use strict';
(() => {
  const form = document.getElementById('upload');
  const zone = form.querySelector('.drop-zone'), bar = form.querySelector('.upload-bar'), alert = form.querySelector('.alert');
  const progress = bar.querySelector('progress'), words = bar.querySelector('p'), button = form.querySelector('button');
  const report = document.getElementById('upload-report');
  const SHOWN = 500;
  let dropped = [], running = false;

  const folder = form.querySelector('[data-folder]');
  folder.setAttribute('webkitdirectory', '');
  folder.closest('label').hidden = false;
  form.querySelector('.scripted').hidden = false;

  const chip = (outcome, count) => {
    const made = document.getElementById('outcomes').content.querySelector(`[data-outcome="${CSS.escape(outcome)}"] .chip`)?.cloneNode(true);
    if (made && count !== undefined) made.lastElementChild.textContent = `${count} ${made.lastElementChild.textContent}`;
    return made || document.createTextNode(outcome);
  };
  const link = (id) => Object.assign(document.createElement('a'), { href: `/series/${id}`, textContent: id });
  const cell = (tag, label, ...inner) => {
    const made = document.createElement(tag);
    made.dataset.label = label;
    made.append(...inner);
    return made;
  };

  const show = (told) => {
    report.hidden = false;
    report.querySelector('[data-counts]').replaceChildren(...Object.entries(told.counts).map(([name, count]) => chip(name, count)));
    const series = told.series.slice(0, 50).flatMap((id) => [link(id), ' ']);
    report.querySelector('[data-series]').replaceChildren(...(series.length ? ['In series ', ...series] : []));
    report.querySelector('[data-files]').replaceChildren(...told.files.slice(0, SHOWN).map((file, at) => {
      const row = document.createElement('tr');
      row.dataset.key = at;
      const name = cell('th', 'File', file.name);
      name.scope = 'row';
      const reason = Object.assign(document.createElement('small'), { className: 'sub wrap', textContent: file.reason });
      row.append(name, cell('td', 'Outcome', chip(file.outcome), reason), cell('td', 'Series', ...(file.series ? [link(file.series)] : [])));
      return row;
    }));
  };

  const fail = (text) => { alert.hidden = false; alert.textContent = text; };

  const send = (files) => {
    const data = new FormData();
    for (const file of files) data.append('files', file, file.webkitRelativePath || file.name);
    const request = new XMLHttpRequest();
    running = true;
    button.disabled = true;
    alert.hidden = true;
    bar.hidden = false;
    progress.value = 0;
    request.upload.addEventListener('progress', (event) => {
      const part = event.lengthComputable && event.total ? event.loaded / event.total : 0;
      progress.value = 100 * part;
      words.textContent = part < 1 ? `${Math.floor(100 * part)} % of ${(event.total / 1e6).toFixed(1)} MB, ${files.length} files` : 'Being stored …';
    });
    request.addEventListener('loadend', () => {
      running = false;
      button.disabled = false;
      bar.hidden = true;
      let told = null;
      try { told = JSON.parse(request.responseText); } catch { /* no answer of ours */ }
      if (request.status === 200 && told) { show(told); form.reset(); dropped = []; } else fail(told?.error || 'The upload did not get through. Please try again.');
    });
    request.open('POST', '/api/v1/upload');
    request.setRequestHeader('Accept', 'application/json');
    request.send(data);
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll('input[type=file]')].flatMap((input) => [...input.files]);
    const files = [...chosen, ...dropped];
    if (running) return;
    if (files.length) send(files); else fail('Choose at least one file.');
  });

  // Folders that are dropped are walked through; readEntries gives them in parts.
  const walk = async (entry) => {
    if (entry.isFile) return [await new Promise((done, wrong) => entry.file(done, wrong))];
    const reader = entry.createReader(), found = [];
    for (;;) {
      const some = await new Promise((done, wrong) => reader.readEntries(done, wrong));
      if (!some.length) return found;
      for (const one of some) found.push(...await walk(one));
    }
  };
  for (const name of ['dragover', 'dragenter']) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add('over'); });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', async (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    for (const entry of entries) dropped.push(...await walk(entry));
    if (dropped.length && !running) send(dropped);
  });
  window.addEventListener('beforeunload', (event) => { if (running) event.preventDefault(); });
})();
