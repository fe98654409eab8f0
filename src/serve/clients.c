/*
 * clients.c - the connections there are, and who is cut off.
 *
 * libmicrohttpd itself ends those that say nothing at all for the time-out; a client that sends a byte now and then is
 * ours: the head of a request must be there within that time, and a body must bring SLOW_RATE bytes a second. A
 * connection is cut by shutdown() on its socket, which libmicrohttpd takes as the client's own going. The socket is open
 * while its client is in the list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "serve_internal.h"

#define SLOW_RATE 100  /* bytes a second that a body must bring, over the time-out */
#define SILENT_MS 1000 /* of one who sends to an upload that somebody else wants to go on with */

void serve_clients_on_connection(void *cls, struct MHD_Connection *conn, void **context,
                                 enum MHD_ConnectionNotificationCode code)
{
	struct bm_serve *s = cls;
	struct serve_client *c = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

		c = calloc(1, sizeof(*c));
		*context = c;
		if (c == NULL || info == NULL)
			return;
		c->fd = info->connect_fd;
		c->since_ms = serve_now_ms();
		pthread_mutex_lock(&s->clients_lock);
		c->next = s->clients;
		if (c->next != NULL)
			c->next->prev = c;
		s->clients = c;
		s->client_count++;
		pthread_mutex_unlock(&s->clients_lock);
	} else if (c != NULL) {
		pthread_mutex_lock(&s->clients_lock);
		if (c->prev != NULL)
			c->prev->next = c->next;
		else
			s->clients = c->next;
		if (c->next != NULL)
			c->next->prev = c->prev;
		s->client_count--;
		pthread_mutex_unlock(&s->clients_lock);
		free(c);
		*context = NULL;
	}
}

void serve_client_phase(struct bm_serve *s, struct serve_client *c, enum serve_phase phase, uint64_t bytes)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&s->clients_lock);
	if (c->phase != phase) {
		c->phase = phase;
		c->since_ms = serve_now_ms();
		c->body_bytes = 0;
	}
	c->body_bytes += bytes;
	if (phase == SERVE_BODY)
		c->heard_ms = serve_now_ms();
	if (phase == SERVE_HEAD)
		c->upload[0] = '\0';
	pthread_mutex_unlock(&s->clients_lock);
}

static void cut_locked(struct bm_serve *s, struct serve_client *c)
{
	if (c->is_cut)
		return;
	c->is_cut = true;
	serve_count(s, SERVE_COUNT_CUT, 1);
	(void)shutdown(c->fd, SHUT_RDWR);
}

void serve_client_cut(struct bm_serve *s, struct serve_client *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&s->clients_lock);
	c->is_cut = true;
	(void)shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->clients_lock);
}

void serve_client_upload(struct bm_serve *s, struct serve_client *c, const char *id)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&s->clients_lock);
	snprintf(c->upload, sizeof(c->upload), "%s", id);
	pthread_mutex_unlock(&s->clients_lock);
}

void serve_cut_upload(struct bm_serve *s, const char *id)
{
	int64_t now = serve_now_ms();

	pthread_mutex_lock(&s->clients_lock);
	for (struct serve_client *c = s->clients; c != NULL; c = c->next)
		if (c->phase == SERVE_BODY && strcmp(c->upload, id) == 0 && now - c->heard_ms >= SILENT_MS)
			cut_locked(s, c);
	pthread_mutex_unlock(&s->clients_lock);
}

void serve_clients_cut_slow(struct bm_serve *s)
{
	int64_t now = serve_now_ms(), limit = (int64_t)s->opt.timeout_ms;

	pthread_mutex_lock(&s->clients_lock);
	for (struct serve_client *c = s->clients; c != NULL; c = c->next) {
		if (c->phase == SERVE_BUSY || now - c->since_ms < limit)
			continue;
		if (c->phase == SERVE_HEAD || c->body_bytes < SLOW_RATE * (uint64_t)limit / 1000) {
			cut_locked(s, c);
		} else {
			c->since_ms = now;
			c->body_bytes = 0;
		}
	}
	pthread_mutex_unlock(&s->clients_lock);
}

void serve_clients_cut_all(struct bm_serve *s)
{
	pthread_mutex_lock(&s->clients_lock);
	for (struct serve_client *c = s->clients; c != NULL; c = c->next)
		cut_locked(s, c);
	pthread_mutex_unlock(&s->clients_lock);
}
