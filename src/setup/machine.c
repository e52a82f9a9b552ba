/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/machine.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>
#include "base/clock.h"

/* ---- addresses */

static bool in4(uint32_t a, unsigned b0, unsigned b1, unsigned bits)
{
	return (a ^ (b0 << 24 | b1 << 16)) >> (32 - bits) == 0;
}

static enum setup_reach reach4(uint32_t a)
{
	if (in4(a, 127, 0, 8))
		return SETUP_LOOPBACK;
	if (in4(a, 169, 254, 16))
		return SETUP_LINK;
	/* RFC 1918, RFC 6598 (carriers' NAT), "this network" */
	if (in4(a, 10, 0, 8) || in4(a, 172, 16, 12) || in4(a, 192, 168, 16) || in4(a, 100, 64, 10) || in4(a, 0, 0, 8))
		return SETUP_PRIVATE;
	return SETUP_GLOBAL;
}

enum setup_reach setup_reach(struct slice address)
{
	char z[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;
	if (!slice_cstr(address, z, sizeof z))
		return SETUP_LOOPBACK;
	if (inet_pton(AF_INET, z, &v4) == 1)
		return reach4(ntohl(v4.s_addr));
	if (inet_pton(AF_INET6, z, &v6) != 1 || IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6))
		return SETUP_LOOPBACK;
	if (IN6_IS_ADDR_V4MAPPED(&v6)) {
		memcpy(&v4, v6.s6_addr + 12, 4);
		return reach4(ntohl(v4.s_addr));
	}
	if (IN6_IS_ADDR_LINKLOCAL(&v6))
		return SETUP_LINK;
	return (v6.s6_addr[0] & 0xfe) == 0xfc ? SETUP_PRIVATE : SETUP_GLOBAL; /* RFC 4193 */
}

bool setup_is_address(struct slice text)
{
	char z[INET6_ADDRSTRLEN];
	struct in6_addr a;
	return slice_cstr(text, z, sizeof z) && (inet_pton(AF_INET, z, &a) == 1 || inet_pton(AF_INET6, z, &a) == 1);
}

static bool fill(struct setup_address *ret, const struct sockaddr *sa)
{
	const void *at = sa->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr
						  : (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if ((sa->sa_family != AF_INET && sa->sa_family != AF_INET6) || !inet_ntop(sa->sa_family, at, ret->text, sizeof ret->text))
		return false;
	ret->ipv6 = sa->sa_family == AF_INET6;
	ret->reach = setup_reach(slice_str(ret->text));
	return true;
}

static void look_at_interfaces(struct setup_machine *m)
{
	struct ifaddrs *list = NULL;
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i && m->n_addresses < SETUP_ADDRESSES_MAX; i = i->ifa_next) {
		struct setup_address *a = &m->addresses[m->n_addresses];
		if (i->ifa_addr && i->ifa_flags & IFF_UP && fill(a, i->ifa_addr) && a->reach > SETUP_LINK && !setup_machine_has(m, slice_str(a->text)))
			m->n_addresses++;
	}
	freeifaddrs(list);
}

bool setup_machine_has(const struct setup_machine *m, struct slice address)
{
	for (size_t i = 0; i < m->n_addresses; i++)
		if (slice_eq(slice_str(m->addresses[i].text), address))
			return true;
	return false;
}

size_t setup_resolve(struct setup_address *ret, size_t max, const char *name)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	size_t n = 0;
	if (getaddrinfo(name, NULL, &hints, &list))
		return 0;
	for (const struct addrinfo *i = list; i && n < max; i = i->ai_next)
		n += fill(&ret[n], i->ai_addr);
	freeaddrinfo(list);
	return n;
}

bool setup_source_address(char ret[SETUP_ADDRESS_TEXT], const char *host)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	struct setup_address mine = {0};
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	bool found = false;
	if (getaddrinfo(host, "5061", &hints, &list))
		return false;
	for (const struct addrinfo *i = list; i && !found; i = i->ai_next) { /* connecting a datagram socket asks the routing table, and sends nothing */
		int fd = socket(i->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		found = fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) == 0 && getsockname(fd, (struct sockaddr *)&from, &len) == 0 &&
			fill(&mine, (const struct sockaddr *)&from);
		if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(list);
	if (found)
		slice_cstr(slice_str(mine.text), ret, SETUP_ADDRESS_TEXT);
	return found;
}

/* ---- the name */

static void lower(char *z)
{
	for (; *z; z++)
		if (*z >= 'A' && *z <= 'Z')
			*z = (char)(*z - 'A' + 'a');
}

static void look_at_name(struct setup_machine *m)
{
	struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *list = NULL;
	char host[SETUP_NAME_TEXT];
	if (gethostname(host, sizeof host) < 0)
		return;
	host[sizeof host - 1] = 0;
	if (!strchr(host, '.') && getaddrinfo(host, NULL, &hints, &list) == 0 && list && list->ai_canonname)
		slice_cstr(slice_str(list->ai_canonname), host, sizeof host);
	if (list)
		freeaddrinfo(list);
	lower(host);
	if (strchr(host, '.') && strcmp(host, "localhost.localdomain") != 0)
		slice_cstr(slice_str(host), m->name, sizeof m->name);
}

/* ---- the resolver */

enum setup_dnssec setup_dnssec_of(const unsigned char *answer, size_t len)
{
	ns_msg msg;
	ns_rr rr;
	if (len > INT32_MAX || ns_initparse(answer, (int)len, &msg) < 0 || ns_msg_getflag(msg, ns_f_rcode) != ns_r_noerror)
		return SETUP_DNSSEC_UNKNOWN;
	if (ns_msg_getflag(msg, ns_f_ad))
		return SETUP_DNSSEC_VALIDATES;
	for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++)
		if (ns_parserr(&msg, ns_s_an, i, &rr) == 0 && ns_rr_type(rr) == ns_t_rrsig)
			return SETUP_DNSSEC_PASSES;
	return SETUP_DNSSEC_NONE;
}

static enum setup_dnssec look_at_resolver(void)
{
	unsigned char answer[8192];
	struct __res_state state = {0};
	if (res_ninit(&state) < 0)
		return SETUP_DNSSEC_UNKNOWN;
	state.options |= RES_USE_EDNS0 | RES_USE_DNSSEC | RES_TRUSTAD; /* DO and AD: ask for signatures, and what it thinks of them */
	state.retrans = 2;
	state.retry = 2;
	int n = res_nquery(&state, ".", ns_c_in, ns_t_soa, answer, sizeof answer);
	res_nclose(&state);
	return n > 0 ? setup_dnssec_of(answer, (size_t)n < sizeof answer ? (size_t)n : sizeof answer) : SETUP_DNSSEC_UNKNOWN;
}

/* ---- the clock */

static enum setup_clock look_at_clock(void)
{
	struct timex t = {0};
	struct stat st;
	if (stat("/proc/self/exe", &st) == 0 && clock_unix() + 86400 < (int64_t)st.st_mtim.tv_sec)
		return SETUP_CLOCK_WRONG;
	int state = adjtimex(&t);
	if (state < 0)
		return SETUP_CLOCK_UNKNOWN;
	return state == TIME_ERROR || t.status & STA_UNSYNC ? SETUP_CLOCK_FREE : SETUP_CLOCK_SYNCED;
}

void setup_machine_look(struct setup_machine *ret)
{
	*ret = (struct setup_machine){.ipv6 = access("/proc/net/if_inet6", R_OK) == 0, .systemd = access("/run/systemd/system", F_OK) == 0};
	look_at_interfaces(ret);
	look_at_name(ret);
	ret->dnssec = look_at_resolver();
	ret->clock = look_at_clock();
}
