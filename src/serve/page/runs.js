/*
 * runs.js - what runs now, with live bars, and what ran.
 *
 * The list is asked for again and again; the first runs that are under way are followed by their events besides (a fetch
 * whose body is read as it comes, since an EventSource cannot send the token), few of them, as a browser opens but six
 * connections to a host.
 */
import {
	$, bytes, call, count, download, duration, el, getJson, nameOf, plural, Problem, Rate, sendJson, setText, when,
} from './core.js';

const POLL_MS = 2000;
const PAGE = 25;
const STREAMS = 2;
const FAILURES = 100;

const live = new Map(); /* id: card */
const past = new Map(); /* id: li */
const streams = new Map(); /* id: AbortController */
let limit = PAGE;
let timer = 0;
let wait = POLL_MS;
let isPolling = false;

/* ---- under way ---- */

function makeCard(run) {
	const card = { rate: new Rate(), state: '', job: run.job, id: run.id };
	card.bar = el('progress', { max: 1000, 'aria-label': `How far ${run.job} is` });
	card.numbers = el('p', { className: 'numbers' });
	card.spans = ['how', 'rate', 'left', 'files'].map(() => el('span'));
	card.numbers.append(...card.spans);
	card.heading = el('h3', {}, run.job);
	card.cancel = el('button', { type: 'button', 'aria-label': `Cancel ${run.job}` }, 'Cancel');
	card.cancel.addEventListener('click', () => cancel(card));
	card.fault = el('p', { className: 'fault', role: 'alert' });
	card.item = el('li', {}, el('div', { className: 'top' }, card.heading, card.cancel), card.bar, card.numbers, card.fault);
	return card;
}

async function cancel(card) {
	card.cancel.disabled = true;
	try {
		await call('DELETE', `v1/runs/${encodeURIComponent(card.id)}`);
		setText($('running-news'), `${card.job} is being cancelled`);
	} catch (e) {
		card.cancel.disabled = false;
		if (!(e instanceof Problem && e.status === 409)) setText(card.fault, `Cannot cancel it: ${e.message}.`);
	}
	refreshRuns();
}

function updateCard(card, run) {
	const [how, rate, left, files] = card.spans;
	if (run.state === 'queued') {
		card.bar.value = 0;
		setText(how, 'Waits for its turn');
		return;
	}
	const total = run.bytes_total || 0;
	card.rate.add(run.bytes_read);
	const perSecond = card.rate.get();
	if (total > 0 && run.total_is_final) card.bar.value = Math.min(1000, (run.bytes_read / total) * 1000);
	else card.bar.removeAttribute('value');
	setText(how, total > 0 ? `${bytes(run.bytes_read)} of ${run.total_is_final ? '' : 'at least '}${bytes(total)}` : bytes(run.bytes_read));
	setText(rate, `${bytes(perSecond)}/s`);
	setText(left, total > 0 && run.total_is_final && perSecond > 0 ? `${duration(((total - run.bytes_read) / perSecond) * 1000)} left` : '');
	setText(files, `${count(run.files_done)} of ${plural(run.files_total || 0, 'file')}${run.files_failed ? `, ${count(run.files_failed)} failed` : ''}`);
}

async function follow(id) {
	const control = new AbortController();
	streams.set(id, control);
	try {
		const response = await call('GET', `v1/runs/${encodeURIComponent(id)}/events`, { signal: control.signal });
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		let text = '';
		for (;;) {
			const { value, done } = await reader.read();
			if (done) break;
			text += value;
			const events = text.split('\n\n');
			text = events.pop();
			for (const event of events) {
				const data = /^data: (.*)$/m.exec(event);
				const card = live.get(id);
				if (data && card) updateCard(card, JSON.parse(data[1]));
			}
		}
	} catch {
		/* the list tells whether the service is there */
	} finally {
		streams.delete(id);
		refreshRuns();
	}
}

function showRunning(runs) {
	const ids = new Set(runs.map((r) => r.id));
	for (const [id, card] of live)
		if (!ids.has(id)) {
			if (card.item.contains(document.activeElement)) $('main').focus({ preventScroll: true });
			card.item.remove();
			live.delete(id);
			streams.get(id)?.abort();
		}
	/* The one that runs longest is on top; new ones come below, and move nothing. */
	for (const run of [...runs].reverse()) {
		let card = live.get(run.id);
		if (!card) {
			card = makeCard(run);
			live.set(run.id, card);
			$('running-list').append(card.item);
			setText($('running-news'), `${run.job} ${run.state === 'queued' ? 'is queued' : 'runs'}`);
		}
		if (!streams.has(run.id)) updateCard(card, run);
		if (run.state === 'running' && !streams.has(run.id) && streams.size < STREAMS) follow(run.id);
	}
	$('running-empty').hidden = runs.length > 0;
}

/* ---- over ---- */

async function failuresOf(id) {
	const response = await call('GET', `v1/runs/${encodeURIComponent(id)}/report`);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	const found = [];
	let text = '';
	while (found.length < FAILURES) {
		const { value, done } = await reader.read();
		const lines = (text + (done ? '\n' : value)).split('\n');
		text = lines.pop();
		for (const line of lines) {
			if (!line.includes('"failed"')) continue;
			const o = JSON.parse(line);
			if (o.type === 'file' && o.state === 'failed') found.push(o);
		}
		if (done) break;
	}
	reader.cancel();
	return found;
}

async function fillDetails(run, box) {
	const list = el('ul', { className: 'faults' });
	const numbers = el('p', { className: 'numbers' }, el('span', {}, `Read ${bytes(run.bytes_read)}`), el('span', {}, `Wrote ${bytes(run.bytes_written)}`),
		el('span', {}, `${plural(run.files_done, 'file')} done`), run.files_skipped ? el('span', {}, `${count(run.files_skipped)} skipped`) : null,
		run.files_failed ? el('span', {}, `${count(run.files_failed)} failed`) : null);
	const again = el('button', { type: 'button' }, 'Run again');
	const report = el('button', { type: 'button' }, 'Save the report');
	const said = el('p', { className: 'status', role: 'status' });
	box.replaceChildren(el('p', { className: 'help' }, run.id), numbers, list, el('div', { className: 'row' }, again, run.started ? report : null), said);
	again.addEventListener('click', async () => {
		try {
			const made = await sendJson('POST', 'v1/runs', { resume: run.id });
			setText(said, `${made.job} is queued again.`);
			refreshRuns();
		} catch (e) {
			setText(said, `Cannot run it again: ${e.message}.`);
		}
	});
	report.addEventListener('click', async () => {
		try {
			download(await (await call('GET', `v1/runs/${encodeURIComponent(run.id)}/report`)).blob(), `${run.id}.jsonl`);
		} catch (e) {
			setText(said, `Cannot fetch the report: ${e.message}.`);
		}
	});
	const faults = [];
	if (run.error) faults.push(el('li', {}, run.error));
	if (run.files_failed > 0) {
		try {
			const failed = await failuresOf(run.id);
			if (failed.length > 0) faults.length = 0; /* the error is the first of them */
			for (const f of failed) faults.push(el('li', {}, `${nameOf(f, 'path')}: ${f.error ? f.error.text : 'failed'}`));
			if (run.files_failed > failed.length) faults.push(el('li', {}, `and ${count(run.files_failed - failed.length)} more; the report has all of them`));
		} catch (e) {
			faults.push(el('li', {}, `The report cannot be read: ${e.message}.`));
		}
	}
	list.append(...faults);
	list.hidden = faults.length === 0;
}

const said = { done: 'Done', failed: 'Failed', cancelled: 'Cancelled', interrupted: 'Cut off' };

function makePast(run) {
	const box = el('div', { className: 'more' });
	const took = run.started && run.ended ? `, ${duration(new Date(run.ended) - new Date(run.started))}` : '';
	const details = el('details', {},
		el('summary', {}, el('span', { className: `state ${run.state}` }, said[run.state] || run.state), el('span', { className: 'name' }, run.job),
			el('span', { className: 'when' }, `${when(run.ended || run.queued)}${took}`)), box);
	details.addEventListener('toggle', () => {
		if (details.open && !box.firstChild) fillDetails(run, box);
	});
	return el('li', {}, details);
}

function showPast(runs, total) {
	const list = $('past-list');
	const ids = new Set(runs.map((r) => r.id));
	for (const [id, item] of past)
		if (!ids.has(id)) {
			item.remove();
			past.delete(id);
		}
	let before = list.firstChild;
	for (const run of runs) {
		const item = past.get(run.id);
		if (item) {
			before = item.nextSibling;
			continue;
		}
		const made = makePast(run);
		past.set(run.id, made);
		list.insertBefore(made, before);
		if (live.has(run.id)) setText($('running-news'), `${run.job}: ${said[run.state] || run.state}`);
	}
	$('past-empty').hidden = runs.length > 0;
	$('past-more').hidden = total <= limit;
}

/* ---- the list ---- */

async function poll() {
	if (isPolling) return;
	isPolling = true;
	clearTimeout(timer);
	try {
		const { runs, count: total } = await getJson(`v1/runs?limit=${limit}`);
		const isLive = (r) => r.state === 'running' || r.state === 'queued';
		showPast(runs.filter((r) => !isLive(r)), total);
		showRunning(runs.filter(isLive));
		wait = POLL_MS;
	} catch (e) {
		wait = e instanceof Problem ? POLL_MS : Math.min(wait * 1.5, 15000);
	}
	isPolling = false;
	if (!$('content').hidden) timer = setTimeout(poll, document.hidden ? 15000 : wait);
}

export function refreshRuns() {
	clearTimeout(timer);
	timer = setTimeout(poll, 50);
}

export function startRuns(service) {
	if (!service.jobs) {
		setText($('running-empty'), 'This service runs no jobs. Start it with --jobs DIR.');
		const ping = () => call('GET', 'healthz').catch(() => {}).then(() => setTimeout(ping, 5000));
		ping();
		return;
	}
	$('past-more').addEventListener('click', () => {
		limit += PAGE;
		poll();
	});
	document.addEventListener('visibilitychange', () => {
		if (!document.hidden) refreshRuns();
	});
	window.addEventListener('online', refreshRuns);
	poll();
}
