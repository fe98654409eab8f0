/*
 * audits.js - of each audited directory: how much of it was verified how long ago, and when damage was found.
 *
 * A chart is one image to a screen reader, with a sentence that sums it up; its numbers are in a table below it.
 */
import { $, bytes, count, el, getJson, nameOf, plural, setText, svg, when } from './core.js';

const WIDTH = 312;
const AGE_WORDS = ['7 days or less', '8 to 30 days', '31 to 90 days', '91 to 365 days', 'longer ago'];
const STATE_WORDS = { damaged: 'damaged', missing: 'missing', unreadable: 'unreadable' };
const SHOWN = 100;

let serial = 0;

function chart(heading, sum, height) {
	const id = `chart-${++serial}`;
	const image = svg('svg', { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-labelledby': `${id}-t ${id}-d` });
	image.append(svg('title', { id: `${id}-t` }, heading), svg('desc', { id: `${id}-d` }, sum));
	return { image, figure: el('figure', {}, el('h4', {}, heading), image) };
}

function table(caption, heads, rows) {
	const cell = (text, i, tag) => el(tag, { className: i > 0 ? 'n' : '', scope: tag === 'th' ? (i > 0 || rows === null ? 'col' : 'row') : undefined }, text);
	return el('details', {}, el('summary', {}, 'The numbers'),
		el('table', {}, el('caption', {}, caption),
			el('thead', {}, el('tr', {}, ...heads.map((h, i) => el('th', { scope: 'col', className: i > 0 ? 'n' : '' }, h)))),
			el('tbody', {}, ...rows.map((r) => el('tr', {}, ...r.map((c, i) => cell(c, i, i === 0 ? 'th' : 'td')))))));
}

/* Only all of it is 100, and only nothing is 0. */
function percent(part, all) {
	if (all === 0 || part === 0) return '0 %';
	const p = (part / all) * 100;
	return p < 1 ? '<1 %' : `${Math.floor(p)} %`;
}

function ages(root) {
	const weight = (a) => (root.bytes > 0 ? a.bytes : a.files);
	const all = root.ages.reduce((n, a) => n + weight(a), 0);
	const recent = weight(root.ages[0]) + weight(root.ages[1]);
	const row = 38;
	const { image, figure } = chart('Last verified', `${percent(recent, all)} was verified within 30 days.`, root.ages.length * row);
	root.ages.forEach((a, i) => {
		const top = i * row, wide = all > 0 ? (weight(a) / all) * WIDTH : 0;
		image.append(svg('text', { x: 0, y: top + 14 }, AGE_WORDS[i]), svg('text', { x: WIDTH, y: top + 14, class: 'end' }, percent(weight(a), all)),
			svg('rect', { x: 0, y: top + 20, width: WIDTH, height: 10, rx: 3, class: 'track' }));
		if (wide > 0) image.append(svg('rect', { x: 0, y: top + 20, width: Math.max(2, wide), height: 10, rx: 3, class: `age${i}` }));
	});
	figure.append(table('By the age of the last verification; shares are of bytes', ['Age', 'Files', 'Size'], root.ages.map((a, i) => [AGE_WORDS[i], count(a.files), bytes(a.bytes)])));
	return figure;
}

const day = (ms) => when(ms).slice(0, 10);

function rot(root) {
	const { counts, days, earlier } = root.found;
	const columns = [earlier, ...[...counts].reverse()]; /* the oldest at the left */
	const most = Math.max(1, ...columns), base = 130, each = WIDTH / columns.length;
	const sum = root.bad_count === 0 ? 'No file is damaged, missing or unreadable.' : `${plural(root.bad_count, 'file')} not well; ${count(counts[0])} found within ${days} days.`;
	const { image, figure } = chart('Damage, by when it was found', sum, base + 24);
	const begin = (i) => Date.now() - (columns.length - i) * days * 86400000;
	columns.forEach((n, i) => {
		const high = n > 0 ? Math.max(3, (n / most) * (base - 24)) : 0;
		if (n === 0) return;
		image.append(svg('rect', { x: i * each + 3, y: base - high, width: each - 6, height: high, rx: 2, class: 'ill' }),
			svg('text', { x: i * each + each / 2, y: base - high - 5, 'text-anchor': 'middle' }, count(n)));
	});
	image.append(svg('line', { x1: 0, y1: base + 0.5, x2: WIDTH, y2: base + 0.5, class: 'base' }),
		svg('text', { x: 0, y: base + 18, class: 'soft' }, 'earlier'), svg('text', { x: each + 30, y: base + 18, class: 'soft' }, day(begin(1))), svg('text', { x: WIDTH, y: base + 18, class: 'soft end' }, 'now'));
	if (root.bad_count === 0) image.append(svg('text', { x: WIDTH / 2, y: base / 2, 'text-anchor': 'middle', class: 'soft' }, 'Nothing was found'));
	figure.append(table(`Files that are not well, by the ${days} days in which that was found`, ['From', 'Files'],
		columns.map((n, i) => [i === 0 ? 'earlier' : day(begin(i)), count(n)])));
	return figure;
}

function badList(root) {
	if (root.bad_count === 0) return null;
	const shown = root.bad.slice(0, SHOWN);
	const more = root.bad_count - shown.length;
	return el('details', {}, el('summary', {}, `The ${plural(root.bad_count, 'file')} that ${root.bad_count === 1 ? 'is' : 'are'} not well`),
		el('ul', { className: 'faults' }, ...shown.map((f) => el('li', {}, el('b', {}, `${STATE_WORDS[f.state] || f.state}: `), `${nameOf(f, 'path')}${f.found ? `, found ${when(f.found)}` : ''}${f.note ? ` (${f.note})` : ''}`)),
			more > 0 ? el('li', {}, `and ${count(more)} more; bytemill catalog names all of them`) : null));
}

function card(root) {
	const said = [`${plural(root.files, 'file')}, ${bytes(root.bytes)}`];
	if (root.audited) said.push(`last complete audit ${when(root.audited)}`);
	for (const state of Object.keys(STATE_WORDS)) if (root[state] > 0) said.push(`${count(root[state])} ${STATE_WORDS[state]}`);
	return el('article', { className: 'card' }, el('h3', {}, nameOf(root, 'path')), el('p', { className: root.bad_count > 0 ? 'fault' : 'help' }, said.join(' · ')),
		badList(root), el('div', { className: 'charts' }, ages(root), rot(root)));
}

export async function startAudits(service) {
	if (!service.catalog) {
		$('audits-empty').hidden = false;
		return;
	}
	try {
		const { roots } = await getJson('v1/catalog');
		$('audits-empty').hidden = roots.length > 0;
		$('audits-list').replaceChildren(...roots.map(card));
	} catch (e) {
		setText($('audits-fault'), `The catalog cannot be read: ${e.message}. Load the page again to try once more.`);
	}
}
