/* Rules: rows <-> text, what the compiler says while one types, completion, the test panel without a reload, order by
   dragging, progress of a backtest. All of it is help: the server judges, and every act is a plain form. */
'use strict';
(() => {
  const post = async (path, body) => {
    const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json', Accept: 'application/json' }, body: JSON.stringify(body) });
    return answer.ok ? answer.json() : null;
  };
  const later = (call, ms) => { let timer = 0; return (...more) => { clearTimeout(timer); timer = setTimeout(() => call(...more), ms); }; };
  const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

  const form = document.getElementById('rule-form');
  if (form) editor();
  const table = document.querySelector('table[data-order]');
  if (table) sortable(table);
  const job = document.querySelector('[data-job]');
  if (job) watch(job);

  // ---- editor ------------------------------------------------------------------------------------------------------
  function editor() {
    const when = document.getElementById('when'), said = document.getElementById('when-said'), builder = document.getElementById('builder');
    // Rows that were changed and whose text is still on its way: sent along, so that a press of a button never takes the text of before
    const sentRows = form.elements.rows;
    let asked = 0, shown = '';
    sentRows.value = '';

    // What a name means, asked for once
    const known = new Map();
    const meaning = (name) => {
      if (!known.has(name)) known.set(name, name ? post(form.dataset.complete, { about: name }).then((told) => (told && told.names[0]) || null) : Promise.resolve(null));
      return known.get(name);
    };
    const explain = async (line, name) => {
      line.dataset.of = name;
      const told = await meaning(name);
      if (line.dataset.of !== name) return; // meanwhile another one was asked for
      line.textContent = line.title = told ? told.help : '';
      line.hidden = !told;
    };
    const list = document.getElementById('named');
    const explainAll = async (names) => {
      list.dataset.of = names.join();
      const told = (await Promise.all(names.map(meaning))).filter(Boolean);
      if (list.dataset.of !== names.join()) return;
      list.hidden = !told.length;
      list.querySelector('dl').replaceChildren(...told.map((one) => {
        const item = clone('named-template');
        item.querySelector('code').textContent = one.name; item.querySelector('dd').textContent = one.help;
        return item;
      }));
    };

    const say = (told) => {
      said.replaceChildren();
      if (told.error) {
        for (const part of document.getElementById('said-bad').content.cloneNode(true).children) said.append(part.cloneNode(true));
        const text = said.querySelector('.fault span'), pieces = said.querySelector('.place').children;
        text.textContent = told.error.message + (told.error.cure ? ': ' : '');
        if (told.error.cure) text.append(Object.assign(document.createElement('strong'), { textContent: told.error.cure }));
        told.error.pieces.forEach((piece, at) => { pieces[at].textContent = piece; });
      } else {
        said.append(clone('said-good'));
        said.querySelector('.english span').textContent = told.english;
      }
      when.toggleAttribute('aria-invalid', Boolean(told.error));
    };

    const lint = async (body, fromText) => {
      const mine = ++asked;
      if (fromText && !when.value.trim()) { show({ op: 'and', rows: [] }); return; }
      const told = await post(form.dataset.lint, body);
      if (!told || mine !== asked) return;
      if (!fromText) { when.value = told.text; sentRows.value = ''; }
      say(told);
      if (!told.error) explainAll(told.names);
      if (fromText && !(told.error && builder.childElementCount)) show(told.rows);
      builder.classList.toggle('faulty', Boolean(told.error));
    };
    const lintText = later(() => { if (!sentRows.value) lint({ when: when.value }, true); }, 250);
    const lintRows = later(() => { if (sentRows.value) lint({ builder: JSON.parse(sentRows.value) }, false); }, 200);
    const typed = () => { sentRows.value = ''; ++asked; lintText(); };

    // Rows
    const show = (rows) => {
      const text = JSON.stringify(rows);
      if (text === shown && builder.childElementCount) return;
      shown = text;
      builder.hidden = false;
      if (rows === null) {
        builder.replaceChildren(Object.assign(document.createElement('p'), { className: 'builder-off', textContent: 'This condition is edited as text: rows cannot say it.' }));
        return;
      }
      builder.replaceChildren(makeGroup(rows, 0));
    };
    const makeGroup = (group, depth) => {
      const made = clone('group-template');
      made.querySelector('.bop').value = group.op;
      const rows = made.querySelector('.brows');
      for (const row of group.rows) rows.append(row.rows ? makeGroup(row, depth + 1) : makeRow(row));
      if (!group.rows.length) rows.append(makeRow({ scope: '', field: '', test: '==', value: '' }));
      if (depth) made.querySelector('.add-group').remove();
      return made;
    };
    let lists = 0;
    const makeRow = (row) => {
      const made = clone('row-template');
      const [scope, field, test, value] = ['scope', 'bfield', 'btest', 'bvalue'].map((name) => made.querySelector(`.${name}`));
      scope.value = row.scope; field.value = row.field; test.value = row.test; value.value = row.value;
      value.hidden = row.test === 'exists' || row.test === 'missing';
      const list = Object.assign(document.createElement('datalist'), { id: `values-${++lists}` });
      value.setAttribute('list', list.id);
      made.append(list);
      const about = made.querySelector('.about');
      about.id = `about-${lists}`;
      field.setAttribute('aria-describedby', about.id);
      field.addEventListener('input', later(() => { explain(about, field.value.trim()); }, 200));
      explain(about, field.value.trim());
      value.addEventListener('focus', async () => {
        if (list.dataset.of === field.value || !field.value) return;
        list.dataset.of = field.value;
        const told = await post(form.dataset.complete, { values_of: field.value });
        list.replaceChildren(...((told && told.values) || []).map((one) => Object.assign(document.createElement('option'), { value: one.value, label: `${one.arrivals} arrivals` })));
      });
      return made;
    };
    const rowsOf = (group) => ({
      op: group.querySelector('.bop').value,
      rows: [...group.querySelector('.brows').children].map((one) => one.matches('.bgroup') ? rowsOf(one) : {
        scope: one.querySelector('.scope').value, field: one.querySelector('.bfield').value,
        test: one.querySelector('.btest').value, value: one.querySelector('.bvalue').value,
      }),
    });
    const changed = () => { shown = ''; ++asked; sentRows.value = JSON.stringify(rowsOf(builder.firstElementChild)); lintRows(); };
    builder.addEventListener('input', (event) => {
      if (event.target.matches('.btest')) event.target.closest('.brow').querySelector('.bvalue').hidden = ['exists', 'missing'].includes(event.target.value);
      changed();
    });
    builder.addEventListener('keydown', (event) => { if (event.key === 'Enter' && event.target.tagName === 'INPUT') event.preventDefault(); });
    builder.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (!button) return;
      const rows = button.closest('.bgroup').querySelector('.brows');
      if (button.matches('.add-row')) {
        const row = makeRow({ scope: '', field: '', test: '==', value: '' });
        rows.append(row);
        row.querySelector('.bfield').focus();
        return;
      }
      if (button.matches('.add-group')) {
        const group = makeGroup({ op: button.closest('.bgroup').querySelector('.bop').value === 'and' ? 'or' : 'and', rows: [] }, 1);
        rows.append(group);
        group.querySelector('.bfield').focus();
        return;
      }
      if (button.matches('.remove')) { (button.closest('.brow') || button.closest('.bgroup')).remove(); changed(); }
    });

    // Text, with completion
    const box = document.getElementById('complete');
    let options = [], at = -1, word = null;
    const close = () => { box.hidden = true; options = []; at = -1; };
    const wordAt = () => {
      const end = when.selectionStart, text = when.value.slice(0, end);
      if ((text.match(/'/g) || []).length % 2 || (text.match(/"/g) || []).length % 2) return null;
      const found = /[A-Za-z][A-Za-z0-9_]*$/.exec(text);
      return found && found[0].length > 1 ? { start: end - found[0].length, end, text: found[0] } : null;
    };
    const offer = later(async () => {
      word = wordAt();
      if (!word || document.activeElement !== when) { close(); return; }
      const told = await post(form.dataset.complete, { prefix: word.text });
      if (!told || !told.names.length || (told.names.length === 1 && told.names[0].name === word.text)) { close(); return; }
      options = told.names; at = -1;
      box.replaceChildren(...options.map((one, number) => {
        const option = document.createElement('div');
        option.setAttribute('role', 'option');
        option.id = `option-${number}`;
        const part = (tag, name, text) => option.append(Object.assign(document.createElement(tag), { className: name, textContent: text }));
        part('code', '', one.name); part('small', 'vr', one.vr); part('span', 'title', (one.tag ? `(${one.tag}) ` : '') + one.title + (one.seen ? ` · seen here ${one.seen}×` : ''));
        if (one.values.length) part('span', 'values', one.values.join(' · '));
        option.addEventListener('mousedown', (event) => { event.preventDefault(); take(number); });
        return option;
      }));
      box.style.top = `${when.offsetTop + when.offsetHeight + 4}px`;
      box.hidden = false;
    }, 120);
    const mark = (to) => {
      at = to;
      [...box.children].forEach((one, number) => one.setAttribute('aria-selected', String(number === at)));
      if (at >= 0) { box.children[at].scrollIntoView({ block: 'nearest' }); when.setAttribute('aria-activedescendant', box.children[at].id); }
    };
    const take = (number) => {
      when.setRangeText(options[number].insert, word.start, word.end, 'end');
      close(); typed(); when.focus();
    };
    when.addEventListener('keydown', (event) => {
      if (box.hidden) return;
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') { event.preventDefault(); mark((at + (event.key === 'ArrowDown' ? 1 : options.length)) % options.length); }
      else if ((event.key === 'Enter' || event.key === 'Tab') && (at >= 0 || event.key === 'Tab')) { event.preventDefault(); take(Math.max(at, 0)); }
      else if (event.key === 'Escape') { event.stopPropagation(); close(); }
    });
    when.addEventListener('input', () => { typed(); offer(); });
    // The name at the caret is explained below the text, for who uses the keyboard as for who clicks
    const explainCaret = later(() => {
      const start = /[A-Za-z][A-Za-z0-9_.]*$/.exec(when.value.slice(0, when.selectionStart)), end = /^[A-Za-z0-9_.]*/.exec(when.value.slice(when.selectionStart));
      explain(document.getElementById('when-about'), start ? start[0] + end[0] : '');
    }, 150);
    for (const name of ['keyup', 'click', 'focus']) when.addEventListener(name, explainCaret);
    when.addEventListener('blur', () => setTimeout(close, 150));

    lint({ when: when.value }, true);
    testing();
  }

  // ---- test panel ----------------------------------------------------------------------------------------------------
  function testing() {
    const HEAD = 4 << 20; // of a file: what stands before the pixel data is enough
    const files = form.ownerDocument.querySelector('input[name=files]'), drop = document.getElementById('drop');
    for (const name of ['dragover', 'dragleave', 'drop']) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle('over', name === 'dragover'); });
    drop.addEventListener('drop', (event) => { files.files = event.dataTransfer.files; run(); });
    files.addEventListener('change', () => { if (files.files.length) run(); });
    form.ownerDocument.querySelector('select[name=arrival]').addEventListener('change', (event) => { if (event.target.value) { files.value = ''; run(); } });
    const button = document.querySelector('[data-try]');
    button.addEventListener('click', (event) => { event.preventDefault(); run(); });

    async function run() {
      const data = new FormData(form), chosen = data.getAll('files').filter((file) => file.size);
      data.delete('files');
      for (const file of chosen.slice(0, 500)) data.append('files', file.slice(0, HEAD), file.name);
      button.disabled = true;
      try {
        const answer = await fetch('/rules/try', { method: 'POST', headers: { Accept: 'text/html', 'X-Fragment': '1' }, body: data });
        const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('tried');
        if (fresh) document.getElementById('tried').replaceWith(document.adoptNode(fresh));
      } finally { button.disabled = false; }
    }
  }

  // ---- order -----------------------------------------------------------------------------------------------------------
  function sortable(table) {
    table.classList.add('sortable');
    let dragged = null, over = null;
    const clear = () => { for (const row of table.querySelectorAll('.above, .below')) row.classList.remove('above', 'below'); };
    const arm = () => { for (const grip of table.querySelectorAll('.grip')) grip.draggable = true; };
    arm();
    document.addEventListener('scanpost:refreshed', arm);
    table.addEventListener('dragstart', (event) => {
      const grip = event.target.closest && event.target.closest('.grip');
      if (!grip) return;
      dragged = grip.closest('tr');
      event.dataTransfer.effectAllowed = 'move';
      event.dataTransfer.setData('text/plain', dragged.dataset.key);
      event.dataTransfer.setDragImage(dragged, 10, 10);
      dragged.classList.add('dragged');
    });
    table.addEventListener('dragover', (event) => {
      const row = event.target.closest('tbody tr');
      if (!dragged || !row) return;
      event.preventDefault();
      const box = row.getBoundingClientRect(), below = event.clientY > box.top + box.height / 2;
      clear();
      row.classList.add(below ? 'below' : 'above');
      over = { row, below };
    });
    table.addEventListener('dragend', () => { clear(); if (dragged) dragged.classList.remove('dragged'); dragged = null; over = null; });
    table.addEventListener('drop', (event) => {
      if (!dragged || !over || over.row === dragged) return;
      event.preventDefault();
      over.row[over.below ? 'after' : 'before'](dragged);
      const names = [...table.querySelectorAll('tbody tr')].map((row) => row.dataset.key);
      const send = Object.assign(document.createElement('form'), { method: 'post', action: table.dataset.order, hidden: true });
      send.append(Object.assign(document.createElement('input'), { name: 'names', value: names.join(',') }));
      document.body.append(send);
      send.submit();
    });
  }

  // ---- backtest ----------------------------------------------------------------------------------------------------------
  function watch(section) {
    const bar = document.getElementById('progress'), said = document.getElementById('progress-said');
    const look = async () => {
      const answer = await fetch(section.dataset.job, { headers: { Accept: 'application/json' } });
      if (!answer.ok) { location.reload(); return; }
      const told = await answer.json();
      if (told.state !== 'running') { location.reload(); return; }
      bar.max = told.total || 1; bar.value = told.done;
      said.textContent = `${told.done} of ${told.total || '…'} series`;
      setTimeout(look, 500);
    };
    setTimeout(look, 300);
  }
})();
