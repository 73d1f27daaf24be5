/* Serves one file to every request, with its length, a thread for each client. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BODY 900

/* whole tells that the head and the body of a request are there. */
static int whole(const char *text, size_t have)
{
	const char *end = strstr(text, "\r\n\r\n"), *at = strstr(text, "Content-Length: ");
	size_t length = 0;

	if (end == NULL)
		return 0;
	if (at != NULL && at < end)
		sscanf(at, "Content-Length: %zu", &length);
	return have >= (size_t)(end + 4 - text) + length;
}

/* hear reads; who is stopped and continued goes on reading. */
static ssize_t hear(int fd, char *text, size_t size)
{
	ssize_t n;

	do
		n = read(fd, text, size);
	while (n < 0 && errno == EINTR);
	return n;
}

static void *serve(void *arg)
{
	int fd = (int)(long)arg;
	struct timeval limit = {.tv_sec = 1, .tv_usec = 700000};
	char text[8192] = "", answer[BODY + 200];
	size_t have = 0;
	ssize_t n = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	while (!whole(text, have) && (n = hear(fd, text + have, sizeof text - 1 - have)) > 0) {
		have += n;
		text[have] = 0;
	}
	if (whole(text, have)) {
		int at = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", BODY);
		for (int i = 0; i < BODY; i++)
			answer[at + i] = i % 64 == 63 ? '\n' : 'a' + i % 26;
		if (write(fd, answer, at + BODY) > 0) {
			shutdown(fd, SHUT_WR);
			while (hear(fd, text, sizeof text) > 0)
				;
		}
	}
	close(fd);
	return NULL;
}

int main(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
	pthread_attr_t detached;

	signal(SIGPIPE, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, 64) != 0) {
		perror("listen");
		return 1;
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		pthread_t thread;
		int client = accept(fd, NULL, NULL);

		if (client >= 0 && pthread_create(&thread, &detached, serve, (void *)(long)client) != 0)
			close(client);
	}
}
