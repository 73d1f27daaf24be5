/*
 * Talks to the server by a list of steps, prints what it says, and is content when that ends with a line "end".
 *
 * send:TEXT writes a line, raw:HEX bytes, big:N that many bytes; expect:TEXT waits until the server has said it;
 * pause:MS waits, shut ends the own direction. Whatever comes next is awaited for at most 1.6 s.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 1600

static char said[1 << 16];
static size_t have;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ready waits for an event; who is stopped and continued goes on waiting. */
static int ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	long end = now() + PATIENCE;
	int n;

	do
		n = poll(&p, 1, end > now() ? (int)(end - now()) : 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int dial(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *a;
	int error = 0, fd;
	socklen_t size = sizeof error;

	if (getaddrinfo("server", "8080", &hints, &a) != 0)
		fail("look up");
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
		if (errno != EINPROGRESS || !ready(fd, POLLOUT))
			fail("connect");
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if ((errno = error) != 0)
			fail("connect");
	}
	freeaddrinfo(a);
	return fd;
}

static void put(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);
		if (n > 0) {
			text += n;
			size -= n;
		} else if (errno == EAGAIN || errno == EINTR) {
			if (!ready(fd, POLLOUT))
				fail("write");
		} else {
			return; /* the answer may be there already */
		}
	}
}

/* hear reads once; it says 0 at the end. */
static int hear(int fd)
{
	ssize_t n;

	do {
		if (!ready(fd, POLLIN))
			fail("read");
		n = read(fd, said + have, sizeof said - 1 - have);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n <= 0)
		return 0;
	have += n;
	said[have] = 0;
	return 1;
}

static int done(void)
{
	return have >= 4 && strcmp(said + have - 4, "end\n") == 0;
}

int main(int argc, char **argv)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	fd = dial();
	for (int i = 1; i < argc; i++) {
		char *what = argv[i], *text = strchr(what, ':');
		text = text == NULL ? "" : text + 1;
		if (strncmp(what, "send:", 5) == 0) {
			char line[256];
			put(fd, line, (size_t)snprintf(line, sizeof line, "%s\n", text));
		} else if (strncmp(what, "raw:", 4) == 0) {
			char bytes[128];
			size_t n = 0;
			for (; text[0] != 0 && text[1] != 0; text += 2)
				bytes[n++] = (char)strtol((char[]){text[0], text[1], 0}, NULL, 16);
			put(fd, bytes, n);
		} else if (strncmp(what, "big:", 4) == 0) {
			size_t n = (size_t)atol(text);
			char *bytes = memset(malloc(n), 'x', n);
			put(fd, bytes, n);
		} else if (strncmp(what, "expect:", 7) == 0) {
			while (strstr(said, text) == NULL)
				if (!hear(fd))
					fail("the server ended");
		} else if (strncmp(what, "pause:", 6) == 0) {
			long end = now() + atol(text);
			while (now() < end)
				poll(NULL, 0, (int)(end - now()));
		} else if (strcmp(what, "shut") == 0) {
			shutdown(fd, SHUT_WR);
		}
	}
	while (!done() && hear(fd))
		;
	if (!done()) {
		fprintf(stderr, "the server said only: %s\n", said);
		return 1;
	}
	fputs(said, stdout);
	return 0;
}
