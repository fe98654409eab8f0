/*
 * page.mjs - the page in headless Chromium, as a person uses it: sign in, submit, watch, cancel, what is wrong in a job file,
 * upload, cut the connection and resume, close the page and resume, seek in a video, audits, names that are hostile.
 *
 * Between browser and service stands a proxy of TCP that can be cut. Screenshots go to SHOTS. What the browser complains of
 * (a violated policy, an exception) is a failure. Waits are for conditions; nothing is timed.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { chromium } from 'playwright-core';

const bytemill = process.env.BYTEMILL;
const shots = process.env.SHOTS;
const tmp = process.cwd();
const TOKEN = 'a-token-for-the-page-of-32-bytes';
let passed = 0;

const at = (...names) => path.join(tmp, ...names);
const write = (name, text) => {
	fs.mkdirSync(path.dirname(at(name)), { recursive: true });
	fs.writeFileSync(at(name), text);
};
async function until(what, fn) {
	for (const end = Date.now() + 60000; Date.now() < end; await new Promise((done) => setTimeout(done, 50))) if (await fn()) return;
	assert.fail(`never: ${what}`);
}

/* ---- what is served ---- */

for (const dir of ['in', 'out/sub', 'jobs', 'state', 'tree', 'audited', 'audited2', 'mine']) fs.mkdirSync(at(dir), { recursive: true });
for (let i = 0; i < 40; i++) write(`tree/${i}`, Buffer.alloc(1 << 20, i));
const job = (name, steps, more = {}) => write(`jobs/${name}.json`, `${JSON.stringify({ name, ...more, steps }, null, 2)}\n`);
job('checksums', [{ step: 'read', from: at('tree') }, { step: 'hash', algorithms: ['sha256'], manifest: at('SUMS') }]);
job('slow', [{ step: 'read', from: at('tree') }, { step: 'hash', algorithms: ['sha256'] }], { limit_rate: '4MiB' });
job('report-for', [{ step: 'read', from: at('tree') }, { step: 'hash', algorithms: ['sha256'], manifest: at('${OUT}') }]);
job('missing', [{ step: 'read', from: '/nonexistent' }, { step: 'hash' }]);
write('jobs/faulty.json', '{\n  "steps": [\n    { "step": "read", "form": "/srv" },\n    { "step": "hash", "algorithms": ["sha257"] }\n  ]\n}\n');
write('out/readme.txt', 'hello\n');
write('out/evil.html', '<script>document.title = "evil"</script>');
write('out/<img src=x onerror=alert(1)>.txt', 'x');
write('out/sub/inner.txt', 'inner\n');
fs.writeFileSync(Buffer.concat([Buffer.from(at('out/')), Buffer.from([0x62, 0xff, 0x2e, 0x74, 0x78, 0x74])]), 'bytes');
execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=duration=60:size=320x180:rate=10', '-c:v', 'libvpx', '-b:v', '400k', '-g', '20', at('out/film.webm')]);
for (let i = 0; i < 12; i++) write(`audited/photo-${i}.raw`, Buffer.alloc(30000 * (i + 1), i));
write('audited2/notes.txt', 'notes');
const env = { ...process.env, BYTEMILL_STATE: at('state') };
const audit = (dir) => {
	try {
		execFileSync(bytemill, ['audit', '--catalog', at(dir)], { env, stdio: 'pipe' });
	} catch (e) {
		assert.equal(e.status, 3, String(e.stderr));
	}
};
audit('audited');
audit('audited2');
fs.unlinkSync(at('audited/photo-3.raw'));
fs.unlinkSync(at('audited/photo-7.raw'));
audit('audited');
fs.writeFileSync(at('token'), `${TOKEN}\n`, { mode: 0o600 });

let service;
function startService(listen) {
	return new Promise((resolve, reject) => {
		service = spawn(bytemill, ['serve', '--listen', listen, '--jobs', 'jobs', '--inbox', 'in', '--outbox', 'out', '--allow-submit', 'mine', '--token-file', 'token', '--drain', '1s', '--timeout', '5s'], { env });
		let said = '';
		service.stderr.on('data', (d) => {
			said += d;
			const m = /listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(said);
			if (m) resolve(Number(m[1]));
		});
		service.on('exit', () => reject(new Error(said)));
	});
}
const port = await startService('127.0.0.1:0');

/* ---- the proxy ---- */

const sockets = new Set();
const line = { isCut: false, limit: Infinity, sent: 0 };
const proxy = net.createServer((client) => {
	if (line.isCut) {
		client.destroy();
		return;
	}
	const server = net.connect(port, '127.0.0.1');
	sockets.add(client).add(server);
	client.on('data', (d) => {
		line.sent += d.length;
		if (line.sent > line.limit) {
			cut();
			return;
		}
		if (!server.write(d)) {
			client.pause();
			server.once('drain', () => client.resume());
		}
	});
	server.pipe(client);
	client.on('end', () => server.end());
	for (const [a, b] of [[client, server], [server, client]])
		a.on('error', () => {}).on('close', () => {
			sockets.delete(a);
			b.destroy();
		});
});
function cut() {
	line.isCut = true;
	for (const s of sockets) s.destroy();
}
function mend() {
	Object.assign(line, { isCut: false, limit: Infinity, sent: 0 });
}
await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${proxy.address().port}/`;

/* ---- the browser ---- */

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });
const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, colorScheme: 'light' });
const page = await context.newPage();
const faults = [];
const ranges = [];
page.on('pageerror', (e) => faults.push(`exception: ${e.message}`));
/* What Chromium says of each answer that is an error is not the page's fault. */
page.on('console', (m) => {
	if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) faults.push(m.text());
});
page.on('dialog', (d) => (d.type() === 'beforeunload' ? d.accept() : (faults.push(`dialog: ${d.message()}`), d.dismiss())));
page.on('request', (r) => {
	if (!r.url().startsWith(url) && !r.url().startsWith('blob:')) faults.push(`asked elsewhere: ${r.url()}`);
	const range = r.headers().range;
	if (range) ranges.push([r.url(), range]);
});
async function shot(name) {
	if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
}
async function test(name, fn) {
	try {
		await fn();
		assert.deepEqual(faults, []);
	} catch (e) {
		await shot('failed').catch(() => {});
		console.log(`not ok - ${name}\n${e.stack}\n${JSON.stringify(faults)}`);
		await finish(1);
	}
	passed++;
	console.log(`ok - ${name}`);
}
async function finish(code) {
	await browser.close();
	service.removeAllListeners('exit');
	service.kill('SIGKILL');
	console.log(`${passed} passed, ${code} failed`);
	process.exit(code);
}
const see = (locator) => locator.waitFor({ timeout: 60000 });
const past = (name, state) => page.locator('#past-list summary', { hasText: name }).filter({ hasText: state }).first();
const widthIsRight = async () => {
	const [has, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
	assert.ok(has <= room, `${has} pixels wide, ${room} there`);
};

await test('signs in, and tells a wrong token', async () => {
	await page.goto(url);
	await page.getByLabel('Token').fill('wrong');
	await shot('sign-in');
	await page.keyboard.press('Enter');
	await see(page.getByText('This is not the token.'));
	await page.getByLabel('Token').fill(TOKEN);
	await page.getByRole('button', { name: 'Sign in' }).click();
	await see(page.getByText('Nothing runs now.'));
	await see(page.getByText('Connected'));
	assert.equal(await page.evaluate(() => sessionStorage.getItem('bytemill.token')), TOKEN);
	assert.equal(await page.evaluate(() => document.cookie + localStorage.length), '0');
});

await test('submits a job, and shows that it is done', async () => {
	await page.getByLabel('Job', { exact: true }).selectOption('checksums');
	await page.waitForFunction(() => document.getElementById('text').value.includes('SUMS'));
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await see(past('checksums', 'Done'));
	execFileSync('sha256sum', ['--quiet', '-c', at('SUMS')], { cwd: at('tree') });
});

await test('asks for the values of a job', async () => {
	await page.getByLabel('Job', { exact: true }).selectOption('report-for');
	await page.getByLabel('OUT').fill('SUMS2');
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await see(past('report-for', 'Done'));
	assert.ok(fs.existsSync(at('SUMS2')));
});

await test('shows faults at their line', async () => {
	await page.getByLabel('Job', { exact: true }).selectOption('faulty');
	await page.waitForFunction(() => document.getElementById('text').value.includes('sha257'));
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	const told = page.locator('#checked .told');
	await see(told.first());
	const order = await page.locator('#checked').evaluate((box) => [...box.children].map((c) => c.textContent));
	const line3 = order.findIndex((t) => t.includes('"form"'));
	assert.match(order[line3 + 1], /^Line 3, .*did you mean “from”/s);
	assert.ok(await told.first().evaluate((e) => e === document.activeElement), 'the first fault has the focus');
	await see(page.locator('#submit-status', { hasText: 'faults in the job file' }));
	await shot('faults');
	/* One's own: checked, and mended. */
	await page.getByLabel('Job', { exact: true }).selectOption('');
	await page.getByLabel('Job file', { exact: true }).fill('{\n  "steps": [\n    { "step": "raed", "from": "/srv" }\n  ]\n}');
	await page.getByRole('button', { name: 'Check' }).click();
	await page.getByRole('button', { name: 'Edit line 3' }).click();
	const where = await page.locator('#text').evaluate((t) => [t === document.activeElement, t.value.slice(0, t.selectionStart).split('\n').length]);
	assert.deepEqual(where, [true, 3]);
	await page.getByLabel('Job file', { exact: true }).fill(fs.readFileSync(at('jobs/checksums.json'), 'utf8'));
	await page.getByRole('button', { name: 'Check' }).click();
	await see(page.getByText('Nothing is wrong with it'));
});

await test('runs a job file of one\'s own, where that is allowed', async () => {
	write('mine/data', 'mine');
	await page.getByLabel('Job', { exact: true }).selectOption('');
	await page.locator('#job-file').setInputFiles({ name: 'own.json', mimeType: 'application/json', buffer: Buffer.from('{\n  "steps": [\n    { "step": "read", "from": "data" },\n    { "step": "copy", "to": "/tmp/elsewhere" }\n  ]\n}\n') });
	await see(page.getByText('Nothing is wrong with it'));
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	assert.match(await page.locator('#checked .told', { hasText: 'does not lie below' }).textContent(), /^Line 4, column 29: /);
	await page.getByRole('button', { name: 'Back to the text' }).click();
	await page.getByLabel('Job file', { exact: true }).fill('{\n  "steps": [\n    { "step": "read", "from": "data" },\n    { "step": "copy", "to": "copy" }\n  ]\n}\n');
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await see(past('(submitted)', 'Done'));
	assert.equal(fs.readFileSync(at('mine/copy'), 'utf8'), 'mine');
});

await test('a run that fails says why', async () => {
	await page.getByLabel('Job', { exact: true }).selectOption('missing');
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await past('missing', 'Failed').click();
	await see(page.locator('#past-list .faults', { hasText: '/nonexistent' }));
});

await test('watches a run, and cancels it', async () => {
	await page.getByLabel('Job', { exact: true }).selectOption('slow');
	await page.waitForFunction(() => document.getElementById('text').value.includes('limit_rate'));
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	const bar = page.getByRole('progressbar', { name: 'How far slow is' }).first();
	await see(bar);
	const value = () => bar.evaluate((b) => b.value);
	await until('it moves', async () => (await value()) > 50);
	const first = await value();
	const box = await page.locator('#submit').boundingBox();
	await until('it moves on', async () => (await value()) > first);
	assert.deepEqual(await page.locator('#submit').boundingBox(), box, 'nothing moves while numbers change');
	await see(page.locator('#running-list .numbers', { hasText: /MiB\/s.*left.*of 40 files/ }));
	await see(page.locator('#running-list .numbers', { hasText: 'Waits for its turn' }));
	await shot('running-light-1200');
	await page.emulateMedia({ colorScheme: 'dark' });
	await shot('running-dark-1200');
	await page.emulateMedia({ colorScheme: 'light' });
	await page.getByRole('button', { name: 'Cancel slow' }).last().click();
	await until('one is left', async () => (await page.locator('#running-list li').count()) === 1);
	await page.getByRole('button', { name: 'Cancel slow' }).focus();
	await page.keyboard.press('Enter');
	await see(page.getByText('Nothing runs now.'));
	await see(past('slow', 'Cancelled'));
});

const large = Buffer.alloc(40 << 20);
for (let i = 0; i < large.length; i += 4096) large.writeUInt32LE(i, i);
fs.writeFileSync(at('large.bin'), large);
const same = (name) => fs.existsSync(at('in', name)) && fs.readFileSync(at('in', name)).equals(large);
const card = (name) => page.locator('#upload-list li', { hasText: name });

await test('uploads', async () => {
	await page.locator('#upload-files').setInputFiles([{ name: 'small é.txt', mimeType: 'text/plain', buffer: Buffer.from('small') }, { name: 'empty', mimeType: 'text/plain', buffer: Buffer.alloc(0) }]);
	await see(card('small é.txt').getByText('Sent, 5 B'));
	await see(card('empty').getByText('Sent, 0 B'));
	assert.equal(fs.readFileSync(at('in/small é.txt'), 'utf8'), 'small');
	assert.equal(fs.statSync(at('in/empty')).size, 0);
});

await test('an upload that is cut goes on where it was', async () => {
	line.sent = 0;
	line.limit = 20 << 20;
	await page.locator('#upload-files').setInputFiles(at('large.bin'));
	await see(card('large.bin').getByText('The connection was cut'));
	await see(page.getByText('Not connected'));
	await shot('cut-light-1200');
	assert.ok(!fs.existsSync(at('in/large.bin')));
	mend();
	await card('large.bin').getByRole('button', { name: /Try now|Pause/ }).click().catch(() => {});
	await until('it is there', async () => {
		if (await card('large.bin').getByRole('button', { name: 'Resume' }).isVisible()) await card('large.bin').getByRole('button', { name: 'Resume' }).click();
		return same('large.bin');
	});
	await see(card('large.bin').getByText('Sent, 40.0 MiB'));
	assert.ok(line.sent < 33 << 20, `sent again from the beginning: ${line.sent}`);
	await see(page.getByText('Connected', { exact: true }));
});

await test('an upload goes on after the page was loaded again', async () => {
	fs.rmSync(at('in/large.bin'));
	fs.utimesSync(at('large.bin'), 1e9, 1e9);
	line.sent = 0;
	line.limit = 20 << 20;
	await page.locator('#upload-files').setInputFiles(at('large.bin'));
	await see(card('large.bin').getByText('The connection was cut'));
	mend();
	await page.reload();
	await see(card('large.bin').getByText('Not finished'));
	await shot('unfinished');
	line.sent = 0;
	await page.locator('#upload-files').setInputFiles(at('large.bin'));
	await see(card('large.bin').getByText('Sent, 40.0 MiB'));
	assert.ok(same('large.bin'));
	assert.ok(line.sent < 33 << 20, `sent again from the beginning: ${line.sent}`);
});

await test('a dropped file is uploaded, one that is given up is not', async () => {
	const data = await page.evaluateHandle(() => {
		const d = new DataTransfer();
		d.items.add(new File(['dropped'], 'dropped.txt', { type: 'text/plain' }));
		return d;
	});
	await page.dispatchEvent('#drop', 'drop', { dataTransfer: data });
	await see(card('dropped.txt').getByText('Sent, 7 B'));
	assert.equal(fs.readFileSync(at('in/dropped.txt'), 'utf8'), 'dropped');
	fs.utimesSync(at('large.bin'), 2e9, 2e9);
	fs.rmSync(at('in/large.bin'));
	line.sent = 0;
	line.limit = 10 << 20;
	await page.locator('#upload-files').setInputFiles(at('large.bin'));
	await see(card('large.bin').getByText('The connection was cut'));
	mend();
	await card('large.bin').getByRole('button', { name: 'Give up large.bin' }).last().click();
	await until('the service forgets it', () => fs.readdirSync(at('state/serve-tus')).filter((n) => fs.statSync(at('state/serve-tus', n)).isDirectory()).length === 0);
	assert.ok(!fs.existsSync(at('in/large.bin')));
});

await test('seeks in a video', async () => {
	await page.getByRole('button', { name: 'Play film.webm' }).click();
	const video = page.locator('#viewer video');
	await until('it knows its length', () => video.evaluate((v) => v.duration > 59));
	await video.evaluate((v) => {
		v.currentTime = 50;
	});
	await until('it is there', () => video.evaluate((v) => !v.seeking && v.readyState >= 2 && Math.abs(v.currentTime - 50) < 1));
	await shot('video');
	const asked = ranges.filter(([u]) => u.endsWith('/film.webm')).map(([, r]) => Number(/bytes=(\d+)-/.exec(r)[1]));
	assert.ok(asked.some((n) => n > 0), `asked for ${asked}`);
	await page.keyboard.press('Escape');
	assert.equal(await video.count(), 0);
});

await test('browses and downloads; hostile names are text', async () => {
	await see(page.getByRole('link', { name: '<img src=x onerror=alert(1)>.txt' }));
	await see(page.getByRole('link', { name: 'b%FF.txt' }));
	for (const [name, text] of [['b%FF.txt', 'bytes'], ['readme.txt', 'hello\n']]) {
		const [got] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name, exact: true }).click()]);
		assert.equal(fs.readFileSync(await got.path(), 'utf8'), text);
	}
	await page.getByRole('button', { name: 'sub/' }).click();
	await see(page.getByRole('link', { name: 'inner.txt' }));
	await page.getByRole('button', { name: 'Outbox' }).click();
	await see(page.getByRole('link', { name: 'readme.txt' }));
	/* What somebody put there has no script that runs, nor what this page keeps. */
	const other = await context.newPage();
	await other.goto(`${url}v1/files/evil.html`);
	assert.notEqual(await other.title(), 'evil');
	await other.close();
});

await test('shows coverage and damage', async () => {
	await page.getByText('The 2 files that are not well').click();
	await see(page.locator('#audits .faults', { hasText: 'photo-3.raw' }));
	assert.equal(await page.locator('#audits svg').count(), 4);
	await see(page.getByRole('img', { name: 'Damage, by when it was found 2 files not well' }).first());
});

await test('is right at 380 pixels, in light and dark', async () => {
	for (const width of [380, 1200])
		for (const colorScheme of ['light', 'dark']) {
			await page.setViewportSize({ width, height: 900 });
			await page.emulateMedia({ colorScheme });
			await widthIsRight();
			await shot(`page-${colorScheme}-${width}`);
		}
	await page.setViewportSize({ width: 380, height: 900 });
	await page.getByLabel('Job', { exact: true }).selectOption('faulty');
	await page.waitForFunction(() => document.getElementById('text').value.includes('sha257'));
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await see(page.locator('#checked .told').first());
	await widthIsRight();
	await shot('faults-380');
	await page.setViewportSize({ width: 1200, height: 900 });
});

await test('every control has a name, and Tab reaches it', async () => {
	const bare = await page.evaluate(() =>
		[...document.querySelectorAll('button, input, select, textarea, a, progress, summary, svg[role=img]')]
			.filter((e) => e.checkVisibility())
			.filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || (e.labels && e.labels.length > 0) || e.textContent.trim()))
			.map((e) => e.outerHTML));
	assert.deepEqual(bare, []);
	await page.evaluate(() => {
		document.activeElement.blur();
		scrollTo(0, 0);
	});
	const wanted = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, a[href], summary')].filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0).length);
	const seen = new Set();
	for (let i = 0; i < wanted + 20; i++) {
		await page.keyboard.press('Tab');
		const key = await page.evaluate(() => {
			const e = document.activeElement;
			if (!e.dataset.n) e.dataset.n = String(document.querySelectorAll('[data-n]').length + 1);
			return e === document.body ? '' : e.dataset.n;
		});
		if (key) seen.add(key);
	}
	assert.ok(seen.size >= wanted, `${seen.size} of ${wanted}`);
});

await test('the service goes and comes back', async () => {
	service.removeAllListeners('exit');
	service.kill('SIGTERM');
	await new Promise((done) => service.once('exit', done));
	await see(page.getByText('Not connected'));
	await startService(`127.0.0.1:${port}`);
	await see(page.getByText('Connected', { exact: true }));
	await see(past('checksums', 'Done'));
});

await finish(0);
