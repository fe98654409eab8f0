/*
 * clients.c - the connections there are, and who is cut off.
 *
 * libmicrohttpd itself ends those that say and take nothing at all for the time-out; a client that sends a byte now and
 * then is ours: the head of a request must be there within that time, and a body must bring min_rate bytes a second over
 * it.
 *
 * Who reads may be slow for better reasons: a player that was paused, a link that is down for a while. So of a long reply
 * min_rate bytes a second must be taken over a longer time, read_timeout; what the client's kernel has acknowledged counts as
 * taken (TCP_INFO), since libmicrohttpd tells only of what went into our own. A player that was paused for longer asks
 * again with Range. Where connections or memory are nearly used up, patience would be at the cost of others: the
 * time is timeout then. Of a reader at a Unix socket the kernel does not tell how much it took: it is cut if it takes
 * nothing for read_timeout.
 *
 * A connection is cut by shutdown() on its socket, which libmicrohttpd takes as the client's own going. The socket is open
 * while its client is in the list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/tcp.h> /* glibc's struct tcp_info ends too early */
#include <netinet/in.h>

#include "serve_internal.h"

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

/* Bytes that the other side has taken since the connection began; false: nobody knows. */
static bool taken_by(const struct serve_client *c, uint64_t *bytes)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
	    len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
		return false;
	*bytes = info.tcpi_bytes_acked;
	return true;
}

void serve_client_phase(struct bm_serve *s, struct serve_client *c, enum serve_phase phase, uint64_t bytes)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&s->clients_lock);
	if (c->phase != phase) {
		c->phase = phase;
		c->since_ms = serve_now_ms();
		c->bytes = 0;
		if (phase == SERVE_REPLY)
			(void)taken_by(c, &c->bytes);
	}
	c->bytes += bytes;
	if (phase == SERVE_BODY)
		c->heard_ms = serve_now_ms();
	if (phase == SERVE_HEAD)
		c->upload[0] = '\0';
	pthread_mutex_unlock(&s->clients_lock);
}

/*
 * In the midst of a request the connection is reset when libmicrohttpd closes it: its end alone would leave a sender whose
 * bytes had found no room waiting for minutes, as the kernel answers its questions for room and nothing else, and a
 * reader could take what it has for all.
 */
static void cut_socket(struct serve_client *c)
{
	const struct linger at_once = {.l_onoff = 1};

	c->is_cut = true;
	if (c->phase != SERVE_HEAD)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void cut_locked(struct bm_serve *s, struct serve_client *c)
{
	if (c->is_cut)
		return;
	serve_count(s, SERVE_COUNT_CUT, 1);
	cut_socket(c);
}

void serve_client_cut(struct bm_serve *s, struct serve_client *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&s->clients_lock);
	cut_socket(c);
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

/* Is c, which was at it for window_ms, too slow? Begins a new window where it is not. */
static bool is_slow_locked(const struct bm_serve *s, struct serve_client *c, int64_t window_ms)
{
	uint64_t least = s->opt.min_rate * (uint64_t)window_ms / 1000, taken;
	bool is_slow = false;

	switch (c->phase) {
	case SERVE_HEAD:
		return true;
	case SERVE_BUSY:
		return false;
	case SERVE_BODY:
		is_slow = c->bytes < least;
		c->bytes = 0;
		break;
	case SERVE_REPLY:
		if (!taken_by(c, &taken))
			return false;
		is_slow = taken - c->bytes < least;
		c->bytes = taken;
		break;
	}
	return is_slow;
}

void serve_clients_cut_slow(struct bm_serve *s)
{
	int64_t now = serve_now_ms(), patience;

	pthread_mutex_lock(&s->clients_lock);
	patience = (int64_t)s->opt.read_timeout_ms;
	if (s->client_count > s->opt.connections - s->opt.connections / 8 || serve_budget_is_short(s))
		patience = (int64_t)s->opt.timeout_ms;
	for (struct serve_client *c = s->clients; c != NULL; c = c->next) {
		int64_t limit = c->phase == SERVE_REPLY ? patience : (int64_t)s->opt.timeout_ms;

		if (now - c->since_ms < limit)
			continue;
		if (is_slow_locked(s, c, now - c->since_ms))
			cut_locked(s, c);
		c->since_ms = now;
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
