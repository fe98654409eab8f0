/*
 * upload.js - files are sent in pieces by tus 1.0, so that they go on where they were after whatever cut them.
 *
 * Where an upload is, the service knows (HEAD: Upload-Offset); which upload a file belongs to, this browser does
 * (localStorage, by name, size, time and job). After a cut it is tried again by and by, and when the browser says that it is
 * online; after the page was closed, when the same file is chosen again. A page may not read files by itself.
 */
import { $, authorized, bytes, call, duration, el, plural, Problem, problemOf, Rate, setText, tellLink, Unreachable } from './core.js';
import { jobNames } from './submit.js';

const PIECE = 8 << 20;
const KEPT = 'bytemill.uploads';
const KEPT_MS = 24 * 3600 * 1000; /* as long as the service keeps them */
const TUS = { 'Tus-Resumable': '1.0.0' };
const AT_ONCE = 2;

const uploads = new Map(); /* key: upload */

/* ---- what was begun ---- */

function readKept() {
	try {
		const all = JSON.parse(localStorage.getItem(KEPT)) || {};
		for (const [key, value] of Object.entries(all)) if (!(Date.now() - value.at < KEPT_MS)) delete all[key];
		return all;
	} catch {
		return {};
	}
}
function keep(key, value) {
	const all = readKept();
	if (value) all[key] = value;
	else delete all[key];
	try {
		localStorage.setItem(KEPT, JSON.stringify(all));
	} catch {
		/* full, or not allowed: then it goes on only as long as the page is there */
	}
}

const base64 = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));
const keyOf = (file, job) => [file.name, file.size, file.lastModified, job].join('/');

/* ---- an upload ---- */

function makeUpload(key, name, size, job) {
	const u = { key, name, size, job, state: 'waiting', offset: 0, sent: 0, rate: new Rate(), tries: 0, file: null, id: null };
	u.bar = el('progress', { max: 1000, value: 0, 'aria-label': `How much of ${name} is sent` });
	u.said = el('span');
	u.speed = el('span');
	u.fault = el('p', { className: 'fault' });
	u.pause = el('button', { type: 'button' }, 'Pause');
	u.drop = el('button', { type: 'button', 'aria-label': `Give up ${name}` }, 'Give up');
	u.pause.addEventListener('click', () => (u.state === 'sending' || u.state === 'waiting' ? pause(u) : resume(u)));
	u.drop.addEventListener('click', () => giveUp(u));
	u.item = el('li', {}, el('div', { className: 'top' }, el('h3', {}, name), u.pause, u.drop), u.bar,
		el('p', { className: 'numbers' }, u.said, u.speed), u.fault);
	uploads.set(key, u);
	$('upload-list').append(u.item);
	return u;
}

function show(u) {
	const n = u.offset + u.sent;
	u.bar.value = u.size > 0 ? (n / u.size) * 1000 : u.state === 'done' ? 1000 : 0;
	const words = {
		waiting: 'Waits for its turn', sending: '', paused: 'Paused', cut: 'The connection was cut', failed: 'Failed', done: 'Sent', unknown: 'Not finished',
	};
	const part = `${bytes(n)} of ${bytes(u.size)}`;
	setText(u.said, u.state === 'done' ? `Sent, ${bytes(u.size)}` : u.state === 'sending' && n >= u.size ? `${part} · The service is at work on it` : [words[u.state], part].filter(Boolean).join(' · '));
	const perSecond = u.rate.get();
	setText(u.speed, u.state === 'sending' && perSecond > 0 && n < u.size ? `${bytes(perSecond)}/s, ${duration(((u.size - n) / perSecond) * 1000)} left` : '');
	const label = { sending: 'Pause', waiting: 'Pause', paused: 'Resume', cut: 'Try now', failed: 'Try again' }[u.state];
	u.pause.hidden = !label;
	if (label) {
		setText(u.pause, label);
		u.pause.setAttribute('aria-label', `${label}: ${u.name}`);
	}
	if (u.state === 'done') setText(u.drop, 'Clear');
}

function setState(u, state, fault = '') {
	u.state = state;
	setText(u.fault, fault);
	show(u);
}

/* One piece; progress needs an XMLHttpRequest. */
function sendPiece(u) {
	return new Promise((resolve, reject) => {
		const x = new XMLHttpRequest();
		u.request = x;
		x.open('PATCH', `v1/tus/${u.id}`);
		for (const [name, value] of Object.entries(authorized({ ...TUS, 'Upload-Offset': String(u.offset), 'Content-Type': 'application/offset+octet-stream' })))
			x.setRequestHeader(name, value);
		x.upload.onprogress = (event) => {
			u.sent = event.loaded;
			u.rate.add(u.offset + u.sent);
			show(u);
		};
		x.onload = async () => {
			if (x.status === 204) resolve(Number(x.getResponseHeader('Upload-Offset')));
			else reject(await problemOf(new Response(x.responseText, { status: x.status })));
		};
		x.onerror = () => {
			tellLink('down');
			reject(new Unreachable());
		};
		x.onabort = () => reject(new DOMException('paused', 'AbortError'));
		x.send(u.file.slice(u.offset, u.offset + PIECE));
	});
}

async function create(u) {
	const metadata = [`filename ${base64(u.name)}`];
	if (u.job) metadata.push(`job ${base64(u.job)}`);
	const response = await call('POST', 'v1/tus', { headers: { ...TUS, 'Upload-Length': String(u.size), 'Upload-Metadata': metadata.join(',') } });
	u.id = response.headers.get('Location').split('/').pop();
	u.offset = Number(response.headers.get('Upload-Offset')) || 0;
	keep(u.key, { id: u.id, name: u.name, size: u.size, job: u.job, at: Date.now() });
}

/* How much of it the service has; false: nothing any more. */
async function findOffset(u) {
	try {
		const response = await call('HEAD', `v1/tus/${u.id}`, { headers: TUS });
		u.offset = Number(response.headers.get('Upload-Offset'));
		return true;
	} catch (e) {
		if (!(e instanceof Problem) || (e.status !== 404 && e.status !== 410)) throw e;
		u.id = null;
		u.offset = 0;
		keep(u.key, null);
		return false;
	}
}

async function send(u) {
	setState(u, 'sending');
	u.rate = new Rate();
	u.sent = 0;
	try {
		if (!u.id || !(await findOffset(u))) await create(u);
		show(u);
		do {
			if (u.state !== 'sending') return;
			u.offset = await sendPiece(u);
			u.sent = 0;
			u.tries = 0;
			tellLink('up');
			show(u);
		} while (u.offset < u.size);
		keep(u.key, null);
		setState(u, 'done');
		setText($('upload-news'), `${u.name} is sent`);
	} catch (e) {
		u.sent = 0;
		/* 423: the service has not noticed yet that the connection before is gone; that can take it minutes. */
		const most = e instanceof Unreachable ? Infinity : { 409: 2, 423: 60, 503: 20 }[e.status] || 0;
		if (e.name === 'AbortError') {
			if (u.state === 'sending') setState(u, 'paused');
		} else if (u.tries < most) {
			const wait = Math.min(e.status === 423 ? 4000 : 15000, 500 * 2 ** u.tries++);
			u.fault.className = 'help';
			setState(u, 'cut', e instanceof Unreachable ? 'It goes on by itself when the service can be reached again.' : `It goes on by itself in a moment: ${e.message}.`);
			if (u.tries === 1) setText($('upload-news'), `${u.name}: the connection was cut`);
			u.timer = setTimeout(() => u.state === 'cut' && resume(u), wait);
		} else {
			const text = explain(e);
			u.fault.className = 'fault';
			setState(u, 'failed', text);
			setText($('upload-news'), `${u.name} failed: ${text}`);
		}
	} finally {
		u.request = null;
		next();
	}
}

/* What to do about it. */
function explain(e) {
	if (e.status === 413) return `${e.message}. Send a smaller file, or have the service started with a larger --max-upload.`;
	if (e.status === 507) return `${e.message}. The service’s disk is full: make room there, then try again.`;
	return `${e.message}.`;
}

function next() {
	const sending = [...uploads.values()].filter((u) => u.state === 'sending').length;
	for (const u of [...uploads.values()].filter((v) => v.state === 'waiting').slice(0, Math.max(0, AT_ONCE - sending))) send(u);
}
function pause(u) {
	setState(u, 'paused');
	u.request?.abort();
	next();
}
function resume(u) {
	clearTimeout(u.timer);
	setState(u, 'waiting');
	next();
}
async function giveUp(u) {
	const isDone = u.state === 'done';
	clearTimeout(u.timer);
	u.state = 'gone';
	u.request?.abort();
	uploads.delete(u.key);
	keep(u.key, null);
	u.item.remove();
	$('upload-files').focus();
	setText($('upload-news'), isDone ? '' : `${u.name} was given up`);
	next();
	if (u.id && !isDone) await remove(u.id, 10);
}
/* The connection that was cut may hold it for a while. What cannot be removed now, the service forgets in a day. */
async function remove(id, tries) {
	try {
		await call('DELETE', `v1/tus/${id}`, { headers: TUS });
	} catch (e) {
		if (tries > 1 && (e instanceof Unreachable || e.status === 423)) setTimeout(remove, 1500, id, tries - 1);
	}
}

function add(files) {
	const job = $('upload-job').value, kept = readKept();
	for (const file of files) {
		const key = keyOf(file, job);
		/* One that was begun goes on as it was begun, whatever is chosen now. */
		const old = kept[key] ? key : Object.keys(kept).find((k) => k.startsWith(`${keyOf(file, '')}`));
		const k = old || key;
		let u = uploads.get(k);
		if (u && (u.state === 'sending' || u.state === 'waiting')) continue;
		if (u && u.state === 'done') {
			u.item.remove();
			u = null;
		}
		u ||= makeUpload(k, file.name, file.size, kept[k] ? kept[k].job : job);
		u.id = kept[k] ? kept[k].id : null;
		u.file = file;
		setState(u, 'waiting');
	}
	next();
}

async function showKept() {
	for (const [key, kept] of Object.entries(readKept())) {
		if (uploads.has(key)) continue;
		const u = makeUpload(key, kept.name, kept.size, kept.job);
		u.id = kept.id;
		try {
			if (!(await findOffset(u))) {
				uploads.delete(key);
				u.item.remove();
				continue;
			}
		} catch {
			/* it is shown all the same */
		}
		setState(u, 'unknown');
		u.fault.className = 'help';
		setText(u.fault, `Choose ${kept.name} again to go on where it was.`);
	}
}

export async function startUpload(service) {
	if (!service.inbox) {
		$('upload-none').hidden = false;
		$('upload-form').hidden = true;
		return;
	}
	const drop = $('drop');
	$('upload-files').addEventListener('change', (event) => {
		add([...event.target.files]);
		event.target.value = '';
	});
	for (const name of ['dragenter', 'dragover', 'dragleave', 'drop'])
		drop.addEventListener(name, (event) => {
			event.preventDefault();
			drop.classList.toggle('over', name === 'dragenter' || name === 'dragover');
			if (name === 'drop') add([...event.dataTransfer.files]);
		});
	/* A file that is dropped beside it is not opened in place of the page. */
	for (const name of ['dragover', 'drop']) window.addEventListener(name, (event) => event.preventDefault());
	window.addEventListener('online', () => {
		for (const u of uploads.values()) if (u.state === 'cut') resume(u);
	});
	window.addEventListener('beforeunload', (event) => {
		if ([...uploads.values()].some((u) => u.state === 'sending')) event.preventDefault();
	});
	const jobs = service.jobs ? await jobNames().catch(() => []) : [];
	$('upload-job').replaceChildren(el('option', { value: '' }, 'Put into the inbox as they are'), ...jobs.map((name) => el('option', { value: name }, `Through the job ${name}`)));
	if (service.max_upload_bytes > 0) drop.append(el('span', { className: 'help' }, `${bytes(service.max_upload_bytes)} at most, each`));
	await showKept();
	const n = uploads.size;
	if (n > 0) setText($('upload-news'), `${plural(n, 'upload')} not finished`);
}
