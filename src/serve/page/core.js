/*
 * core.js - what all parts of the page share: requests with the token, elements, and how numbers are written.
 *
 * Whatever comes from the service is put into the page as text (textContent, or attributes that load nothing): a name of a file
 * may be anything. A name whose bytes are no UTF-8 is shown percent-encoded, as in its URL.
 */
const KEY = 'bytemill.token';

export const token = {
	get: () => sessionStorage.getItem(KEY),
	set: (text) => sessionStorage.setItem(KEY, text),
	forget: () => sessionStorage.removeItem(KEY),
};

export class Problem extends Error {
	constructor(status, body) {
		super(body.detail || body.title || `the service answered ${status}`);
		this.status = status;
		this.errors = body.errors || [];
	}
}

/* The service cannot be reached: not an answer of its. */
export class Unreachable extends Error {
	constructor() {
		super('the service cannot be reached');
	}
}

const onStatus = [];
/* fn(what): 'up', 'down', or 'token' where the service wants another one. */
export function watchLink(fn) {
	onStatus.push(fn);
}
export function tellLink(what) {
	for (const fn of onStatus) fn(what);
}

export function authorized(headers = {}) {
	const text = token.get();
	return text ? { ...headers, Authorization: `Bearer ${text}` } : headers;
}

export async function problemOf(response) {
	let body = {};
	try {
		body = JSON.parse(await response.text());
	} catch {
		/* not from the service itself: a proxy's page */
	}
	return new Problem(response.status, body);
}

/* A response that is good; throws Problem or Unreachable. */
export async function call(method, path, { body, headers, signal } = {}) {
	let response;
	try {
		response = await fetch(path, { method, body, signal, headers: authorized(headers), cache: 'no-store' });
	} catch (e) {
		if (e.name === 'AbortError') throw e;
		tellLink('down');
		throw new Unreachable();
	}
	tellLink('up');
	if (response.ok) return response;
	if (response.status === 401) tellLink('token');
	throw await problemOf(response);
}
export async function getJson(path, options) {
	return (await call('GET', path, options)).json();
}
export async function sendJson(method, path, value) {
	return (await call(method, path, { body: JSON.stringify(value), headers: { 'Content-Type': 'application/json' } })).json();
}

/* A player and a link cannot send the token: the service gives a cookie for it, which is good for files alone. */
let sessionEnds = 0;
export async function ensureSession() {
	if (!token.get() || Date.now() < sessionEnds) return;
	await call('POST', 'v1/session');
	sessionEnds = Date.now() + 30 * 60 * 1000;
}
export async function endSession() {
	sessionEnds = 0;
	await call('DELETE', 'v1/session');
}

export const $ = (id) => document.getElementById(id);

/* An element: properties, `data` and `aria` ones as attributes, text or elements inside. */
export function el(tag, properties = {}, ...inside) {
	const e = document.createElement(tag);
	for (const [name, value] of Object.entries(properties)) {
		if (value === undefined || value === null || value === false) continue;
		if (name.includes('-') || name === 'role' || name === 'for' || name === 'scope') e.setAttribute(name, value);
		else e[name] = value;
	}
	e.append(...inside.filter((x) => x !== null && x !== undefined));
	return e;
}
export function svg(tag, attributes = {}, text) {
	const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
	for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
	if (text !== undefined) e.textContent = text;
	return e;
}
/* Writes only what is new, so that a screen reader and a selection are left alone. */
export function setText(e, text) {
	if (e.textContent !== text) e.textContent = text;
}

export function download(blob, name) {
	const url = URL.createObjectURL(blob);
	const a = el('a', { href: url, download: name });
	a.click();
	setTimeout(() => URL.revokeObjectURL(url), 60000);
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
export function bytes(n) {
	let i = 0;
	while (n >= 1024 && i < UNITS.length - 1) {
		n /= 1024;
		i++;
	}
	return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${UNITS[i]}`;
}
export const count = (n) => n.toLocaleString('en');
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export function duration(ms) {
	const s = Math.max(0, Math.round(ms / 1000));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
	return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}
const two = (n) => String(n).padStart(2, '0');
export function when(text) {
	const t = new Date(text);
	return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}`;
}
/* What a JSON object of the service calls "key". */
export function nameOf(object, key, encoded) {
	return object[`${key}_base64`] === undefined ? object[key] : encoded || percent(object[`${key}_base64`]);
}
function percent(base64) {
	return [...atob(base64)]
		.map((c) => (/[A-Za-z0-9/._~ -]/.test(c) ? c : `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`))
		.join('');
}

/* Bytes a second, over the last seconds. */
export class Rate {
	constructor() {
		this.seen = [];
	}
	add(n, now = performance.now()) {
		const last = this.seen[this.seen.length - 1];
		if (last && n < last.n) this.seen = [];
		this.seen.push({ n, now });
		while (this.seen.length > 2 && now - this.seen[0].now > 4000) this.seen.shift();
	}
	get() {
		const a = this.seen[0], b = this.seen[this.seen.length - 1];
		return a && b.now - a.now > 300 ? ((b.n - a.n) * 1000) / (b.now - a.now) : 0;
	}
}
