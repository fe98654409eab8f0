/*
 * files.js - what is in the outbox: directories, downloads, and a player.
 *
 * A video is played from the service by range: a seek asks for the bytes from there on. The href of an entry is its name
 * percent-encoded by the service, whatever its bytes are.
 */
import { $, bytes, el, ensureSession, getJson, nameOf, setText, when } from './core.js';

let here = ''; /* encoded, with / at its end; '': the outbox */
let next = '';
let last = 0; /* the newest request */

const decode = (s) => {
	try {
		return decodeURIComponent(s);
	} catch {
		return s;
	}
};

function open(href) {
	here = href;
	load(true);
}

function crumbs() {
	const parts = here.split('/').slice(0, -1);
	const items = [el('li', {}, crumb('Outbox', '', parts.length === 0))];
	parts.forEach((p, i) => items.push(el('li', {}, crumb(decode(p), `${parts.slice(0, i + 1).join('/')}/`, i === parts.length - 1))));
	$('crumbs').replaceChildren(...items);
}
function crumb(name, href, isHere) {
	if (isHere) return el('span', { 'aria-current': 'location', tabIndex: -1, id: 'crumb-here' }, name);
	const b = el('button', { type: 'button', className: 'text' }, name);
	b.addEventListener('click', () => open(href));
	return b;
}

async function play(entry, name, kind) {
	const body = $('viewer-body');
	const src = `v1/files/${here}${entry.href}`;
	setText($('viewer-h'), name);
	try {
		await ensureSession();
	} catch (e) {
		setText($('files-fault'), `Cannot open ${name}: ${e.message}.`);
		return;
	}
	const media = kind === 'image' ? el('img', { src, alt: name }) : el(kind, { src, controls: true, preload: 'metadata' });
	const fault = el('p', { className: 'fault', role: 'alert' });
	media.addEventListener('error', () => setText(fault, 'This browser cannot show it, or it is gone. Download it instead.'));
	body.replaceChildren(media, fault);
	$('viewer').showModal();
}

function row(entry) {
	const name = nameOf(entry, 'name', entry.href.replace(/\/$/, ''));
	const names = el('span', { className: 'names' });
	const kind = /^(video|audio|image)\//.exec(entry.media_type || '');
	if (entry.type === 'directory') {
		const b = el('button', { type: 'button', className: 'text' }, `${name}/`);
		b.addEventListener('click', () => open(here + entry.href));
		names.append(b);
	} else {
		/* The click waits for the cookie, where one is needed. */
		const a = el('a', { href: `v1/files/${here}${entry.href}`, download: '' }, name);
		a.addEventListener('click', async (event) => {
			if (a.dataset.ready === 'yes') return;
			event.preventDefault();
			try {
				await ensureSession();
				a.dataset.ready = 'yes';
				a.click();
			} catch (e) {
				setText($('files-fault'), `Cannot download ${name}: ${e.message}.`);
			}
			delete a.dataset.ready;
		});
		names.append(a);
		if (kind) {
			const b = el('button', { type: 'button', className: 'text', 'aria-label': `${kind[1] === 'image' ? 'View' : 'Play'} ${name}` }, kind[1] === 'image' ? 'View' : 'Play');
			b.addEventListener('click', () => play(entry, name, kind[1] === 'image' ? 'image' : kind[1]));
			names.append(b);
		}
	}
	return el('li', { className: 'file' }, names, el('span', { className: 'size' }, entry.type === 'file' ? bytes(entry.size) : ''),
		el('span', { className: 'when' }, entry.modified ? when(entry.modified) : ''));
}

async function load(isNew) {
	const mine = ++last;
	setText($('files-fault'), '');
	if (isNew) {
		next = '';
		crumbs();
	}
	try {
		const listing = await getJson(`v1/files/${here}?limit=200${next ? `&after=${next}` : ''}`);
		if (mine !== last) return;
		const rows = listing.entries.map(row);
		if (isNew) $('files-list').replaceChildren(...rows);
		else $('files-list').append(...rows);
		next = listing.next || '';
		$('files-empty').hidden = $('files-list').children.length > 0;
	} catch (e) {
		if (mine !== last) return;
		if (isNew) $('files-list').replaceChildren();
		setText($('files-fault'), `The directory cannot be listed: ${e.message}.`);
	}
	$('files-more').hidden = next === '';
	if (document.activeElement === document.body && $('crumb-here')) $('crumb-here').focus({ preventScroll: true });
}

export function startFiles(service) {
	if (!service.outbox) {
		$('files-none').hidden = false;
		$('files-content').hidden = true;
		return;
	}
	$('files-more').addEventListener('click', () => load(false));
	$('files-again').addEventListener('click', () => load(true));
	$('viewer-close').addEventListener('click', () => $('viewer').close());
	$('viewer').addEventListener('close', () => $('viewer-body').replaceChildren());
	load(true);
}
