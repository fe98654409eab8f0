/*
 * app.js - the page's beginning: is the service there, does it want a token, what is to be shown.
 *
 * The list of runs is asked for every other second, and is what tells whether the service is there: when it is not, the page
 * says so, tries again by and by, and goes on where it was.
 */
import { $, call, endSession, getJson, Problem, setText, tellLink, token, watchLink } from './core.js';
import { startAudits } from './audits.js';
import { startFiles } from './files.js';
import { refreshRuns, startRuns } from './runs.js';
import { startSubmit } from './submit.js';
import { startUpload } from './upload.js';

let isStarted = false;

watchLink((what) => {
	const link = $('link');
	if (what === 'up') setText(link, 'Connected');
	if (what === 'down') setText(link, 'Not connected: trying again');
	if (what !== 'token') link.className = `link ${what}`;
	if (what === 'token' && $('sign-in').hidden) askForToken('The token is not right any more. Sign in again.');
});

function askForToken(text) {
	token.forget();
	$('content').hidden = $('nav').hidden = $('sign-out').hidden = true;
	$('sign-in').hidden = false;
	setText($('token-fault'), text);
	$('token').focus();
}

async function show(service) {
	$('sign-in').hidden = true;
	$('content').hidden = $('nav').hidden = false;
	$('sign-out').hidden = !service.token;
	setText($('version'), `Bytemill ${service.version}`);
	if (isStarted) {
		refreshRuns();
		return;
	}
	isStarted = true;
	startRuns(service);
	startSubmit(service);
	startUpload(service);
	startFiles(service);
	startAudits(service);
	const at = location.hash.length > 1 && $(location.hash.slice(1));
	if (at) at.scrollIntoView();
}

async function begin(wait = 1000) {
	try {
		await show(await getJson('v1/service'));
	} catch (e) {
		if (e instanceof Problem && e.status === 401) {
			askForToken(token.get() ? 'This is not the token.' : '');
			return;
		}
		if (e instanceof Problem) setText($('link'), `The service refuses: ${e.message}`);
		setTimeout(begin, wait, Math.min(wait * 2, 15000));
	}
}

$('token-form').addEventListener('submit', async (event) => {
	event.preventDefault();
	token.set($('token').value.trim());
	try {
		const service = await getJson('v1/service');
		$('token').value = '';
		setText($('token-fault'), '');
		await show(service);
		$('main').focus();
	} catch (e) {
		askForToken(e instanceof Problem && e.status === 401 ? 'This is not the token.' : `Cannot sign in: ${e.message}.`);
		$('token').select();
	}
});
$('sign-out').addEventListener('click', async () => {
	await endSession().catch(() => {});
	token.forget();
	location.reload();
});
window.addEventListener('online', () => call('GET', 'healthz').catch(() => {}));
window.addEventListener('offline', () => tellLink('down'));
begin();
