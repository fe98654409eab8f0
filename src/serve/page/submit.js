/*
 * submit.js - a job is chosen, looked at and run; what is wrong with a job file stands at its line.
 *
 * A job of the service is shown as it is, and can be run; a job file of somebody's own can be written or opened here, checked,
 * and run where the service takes such (--allow-submit). Faults come with line and column: then the text
 * is shown as a list of lines, each fault below its own, in place of the field.
 */
import { $, call, el, getJson, plural, Problem, sendJson, setText } from './core.js';
import { refreshRuns } from './runs.js';

const OWN = '';
const CONTEXT = 2; /* lines around one that is at fault */
let takesFiles = false; /* whole job files */
const values = new Map(); /* of ${NAME}, kept from one job to the next */

const text = $('text'), gutter = $('gutter');

/* ---- the text ---- */

function numberLines() {
	const n = text.value.split('\n').length;
	let s = '';
	for (let i = 1; i <= n; i++) s += `${i}\n`;
	setText(gutter, s);
	gutter.scrollTop = text.scrollTop;
}

/* ${NAME}, as a job file has it; $$ is a dollar. */
function names() {
	const found = new Set();
	for (const [, name] of text.value.replaceAll('$$', '').matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)) found.add(name);
	return [...found];
}

function askForValues() {
	const wanted = names(), list = $('sets-list');
	const there = [...list.querySelectorAll('input')].map((i) => i.name);
	$('sets').hidden = wanted.length === 0;
	if (wanted.join('\n') === there.join('\n')) return;
	list.replaceChildren(
		...wanted.flatMap((name, i) => {
			const input = el('input', { type: 'text', id: `set-${i}`, name, value: values.get(name) || '', autocomplete: 'off', spellcheck: false });
			input.addEventListener('input', () => values.set(name, input.value));
			return [el('label', { for: `set-${i}` }, name), input];
		}),
	);
}
const given = () => [...$('sets-list').querySelectorAll('input')].filter((i) => i.value !== '').map((i) => [i.name, i.value]);

function edit(line, column) {
	$('checked').hidden = $('edit').hidden = true;
	$('editor').hidden = false;
	if (line === undefined) return;
	const lines = text.value.split('\n');
	let at = 0;
	for (let i = 0; i < line - 1 && i < lines.length; i++) at += lines[i].length + 1;
	at += Math.max(0, column - 1);
	text.focus();
	text.setSelectionRange(at, at);
	text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
}

/* ---- faults ---- */

/* Where in a text that is JSON the value is that the pointer names: { line, column }, or null. */
function locate(json, pointer) {
	const parts = pointer.split('/').slice(1).map((p) => p.replaceAll('~1', '/').replaceAll('~0', '~'));
	const token = /\s*(?:("(?:[^"\\]|\\.)*")|([[\]{}:,])|[^\s[\]{}:,"]+)/y;
	let found = -1;
	const read = () => {
		const m = token.exec(json);
		if (!m) throw new SyntaxError(json);
		return { text: m[1] || m[2] || '', begin: token.lastIndex - m[0].trimStart().length };
	};
	const peek = () => {
		const at = token.lastIndex, t = read();
		token.lastIndex = at;
		return t;
	};
	const value = (depth) => {
		const t = read();
		if (depth === parts.length) found = t.begin;
		if (t.text !== '{' && t.text !== '[') return;
		const end = t.text === '{' ? '}' : ']';
		for (let i = 0; peek().text !== end; i++) {
			const key = end === '}' ? JSON.parse(read().text) : String(i);
			if (end === '}') read();
			value(depth >= 0 && key === parts[depth] ? depth + 1 : -1);
			if (peek().text === ',') read();
		}
		read();
	};
	try {
		value(0);
	} catch {
		return null;
	}
	if (found < 0) return null;
	const before = json.slice(0, found).split('\n');
	return { line: before.length, column: before[before.length - 1].length + 1 };
}

function faultBox(e) {
	const where = e.line ? `Line ${e.line}, column ${e.column}` : 'The job file';
	const box = el('div', { className: 'told', tabIndex: -1 }, el('b', {}, `${where}: `), e.message);
	if (e.suggestion) box.append(` – did you mean “${e.suggestion}”?`);
	if (e.pointer) box.append(el('div', { className: 'help' }, el('code', {}, e.pointer)));
	if (e.line && $('job').value === OWN) {
		const go = el('button', { type: 'button', className: 'text' }, `Edit line ${e.line}`);
		go.addEventListener('click', () => edit(e.line, e.column));
		box.append(go);
	}
	return box;
}

function showFaults(errors) {
	const lines = text.value.split('\n');
	const at = new Map();
	const box = $('checked');
	const placed = errors.map((e) => (e.line || !e.pointer ? e : { ...e, ...locate(text.value, e.pointer) }));
	const boxes = placed.map((e) => [e, faultBox(e)]);
	for (const [e, b] of boxes) {
		const line = e.line >= 1 && e.line <= lines.length ? e.line : 0;
		at.set(line, [...(at.get(line) || []), b]);
	}
	box.replaceChildren(...(at.get(0) || []));
	let last = 0;
	if (lines[lines.length - 1] === '' && !at.has(lines.length)) lines.pop();
	for (let n = 1; n <= lines.length; n++) {
		let near = false;
		for (let i = n - CONTEXT; i <= n + CONTEXT; i++) near = near || (i > 0 && at.has(i));
		if (!near) continue;
		if (n > last + 1) box.append(el('div', { className: 'gap' }, '…'));
		last = n;
		box.append(el('div', { className: at.has(n) ? 'code wrong' : 'code' }, el('code', {}, String(n)), el('code', {}, lines[n - 1] || ' ')));
		box.append(...(at.get(n) || []));
	}
	if (last > 0 && last < lines.length) box.append(el('div', { className: 'gap' }, '…'));
	box.hidden = $('edit').hidden = false;
	$('editor').hidden = true;
	boxes[0][1].focus();
}

function tell(e, what) {
	if (e instanceof Problem && e.errors.length > 0) {
		setText($('submit-status'), `${what}: ${plural(e.errors.length, 'fault')} in the job file. Nothing was done.`);
		showFaults(e.errors);
	} else {
		setText($('submit-status'), `${what}: ${e.message}.`);
	}
}

/* ---- what is done ---- */

async function check() {
	setText($('submit-status'), 'Checking…');
	const query = given().map(([name, value]) => `set=${encodeURIComponent(`${name}=${value}`)}`).join('&');
	try {
		const response = await call('POST', `v1/jobs${query ? `?${query}` : ''}`, { body: text.value, headers: { 'Content-Type': 'application/json' } });
		const { jobs } = await response.json();
		edit();
		setText($('submit-status'), `Nothing is wrong with it: ${plural(jobs.length, 'job')} (${jobs.join(', ')}).${$('job').value === OWN && !takesFiles ? ' Put it into the service’s directory of jobs to run it.' : ''}`);
	} catch (e) {
		tell(e, 'Not right yet');
	}
}

async function run(event) {
	event.preventDefault();
	const own = $('job').value === OWN;
	if (own && !takesFiles) {
		await check();
		return;
	}
	$('run').disabled = true;
	setText($('submit-status'), 'Submitting…');
	try {
		const made = await sendJson('POST', 'v1/runs', { ...(own ? { file: text.value } : { job: $('job').value }), set: Object.fromEntries(given()) });
		edit();
		setText($('submit-status'), `${made.job} is queued. It is shown under Running.`);
		refreshRuns();
	} catch (e) {
		tell(e, 'It was not submitted');
	}
	$('run').disabled = false;
}

async function choose() {
	const name = $('job').value, own = name === OWN;
	edit();
	setText($('submit-status'), '');
	text.readOnly = !own;
	$('run').hidden = own && !takesFiles;
	$('check').className = own && !takesFiles ? 'main' : '';
	setText($('job-help'), !own ? '' : takesFiles ? 'Write a job file, or open one. It may read and write where this service lets such jobs.' : 'Write a job file, or open one, and have it checked here. The service runs the files that lie in its directory of jobs.');
	setText($('text-label'), own ? 'Job file' : `${name}.json, as the service has it`);
	if (!own) {
		text.value = '';
		try {
			const got = await (await call('GET', `v1/jobs/${encodeURIComponent(name)}`)).text();
			if ($('job').value === name) text.value = got;
		} catch (e) {
			setText($('submit-status'), `Cannot fetch the job file: ${e.message}.`);
		}
	}
	numberLines();
	askForValues();
}

async function openFile() {
	const file = $('job-file').files[0];
	if (!file) return;
	$('job').value = OWN;
	await choose();
	if (file.size > 1 << 20) {
		setText($('submit-status'), `${file.name} is no job file: it is larger than 1 MiB.`);
		return;
	}
	text.value = await file.text();
	$('job-file').value = '';
	numberLines();
	askForValues();
	await check();
}

export const jobNames = async () => (await getJson('v1/jobs')).jobs;

export async function startSubmit(service) {
	if (!service.jobs) {
		$('submit-none').hidden = false;
		$('submit-form').hidden = true;
		return;
	}
	takesFiles = service.submit;
	$('submit-form').addEventListener('submit', run);
	$('check').addEventListener('click', check);
	$('edit').addEventListener('click', () => {
		edit();
		text.focus();
	});
	$('job').addEventListener('change', choose);
	$('job-file').addEventListener('change', openFile);
	text.addEventListener('input', () => {
		numberLines();
		askForValues();
	});
	text.addEventListener('scroll', () => {
		gutter.scrollTop = text.scrollTop;
	});
	let jobs = [];
	try {
		jobs = await jobNames();
	} catch (e) {
		setText($('submit-status'), `The jobs cannot be listed: ${e.message}.`);
	}
	$('job').replaceChildren(...jobs.map((name) => el('option', { value: name }, name)), el('option', { value: OWN }, takesFiles ? 'A job file of my own' : 'A job file of my own, to be checked'));
	await choose();
	if (jobs.length === 0 && !takesFiles) setText($('job-help'), 'There is no job yet: put job files NAME.json into the service’s directory of jobs.');
}
