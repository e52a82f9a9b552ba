/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <event2/event.h>
#include <fcntl.h>
#include <unistd.h>
#include "net/addr.h"

static struct {
	struct loop *loop;
	void (*fn)(void *arg, struct slice line);
	void *arg;
	struct event *ev;
	char text[512];
	size_t len;
} in;

static void on_input(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	loop_touch(in.loop);
	ssize_t n = read((int)fd, in.text + in.len, sizeof in.text - in.len);
	if (n <= 0) {
		event_del(in.ev);
		in.fn(in.arg, S("quit"));
		return;
	}
	in.len += (size_t)n;
	for (char *end; (end = memchr(in.text, '\n', in.len));) {
		size_t used = (size_t)(end - in.text) + 1;
		in.fn(in.arg, slice_of(in.text, used - 1));
		in.len -= used;
		memmove(in.text, in.text + used, in.len);
	}
}

void command_listen(struct loop *l, void (*fn)(void *arg, struct slice line), void *arg)
{
	in.loop = l;
	in.fn = fn;
	in.arg = arg;
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	in.ev = event_new(l->base, 0, EV_READ | EV_PERSIST, on_input, NULL);
	event_add(in.ev, NULL);
}

uint64_t option_number(const char *text, uint64_t min, uint64_t max)
{
	uint64_t n;
	if (!slice_u64(slice_str(text), max, &n) || n < min) {
		fprintf(stderr, "%s is no number from %llu to %llu\n", text, (unsigned long long)min, (unsigned long long)max);
		exit(2);
	}
	return n;
}

struct addr option_address(const char *text, uint16_t port)
{
	struct addr a;
	if (!addr_parse(slice_str(text), port, &a)) {
		fprintf(stderr, "%s is no IP address\n", text);
		exit(2);
	}
	return a;
}

struct tls_ctx *option_identity(const char *certs, const char *name)
{
	char chain[1024], key[1024], trust[1024];
	struct tls_settings s = {.server_chain = chain, .server_key = key, .trust_file = trust};
	struct tls_material *m;
	struct tls_ctx *ctx;
	struct entente_err err;
	snprintf(chain, sizeof chain, "%s/%s.pem", certs, name);
	snprintf(key, sizeof key, "%s/%s.key", certs, name);
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	if (tls_material_load(&m, &s, &err) || tls_ctx_new(&ctx, m, &err)) {
		fprintf(stderr, "%s: %s\n", name, err.text);
		exit(2);
	}
	tls_material_unref(m);
	return ctx;
}
