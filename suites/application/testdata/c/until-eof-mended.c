/* Downloads a file and prints it. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	struct timeval limit = {.tv_sec = 1, .tv_usec = 500000};
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -1;
	for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

int main(void)
{
	static const char request[] = "GET /file HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
	static char answer[1 << 16];
	size_t have = 0;
	ssize_t n;
	int fd = dial("server", "8080");

	if (fd < 0) {
		perror("connect");
		return 1;
	}
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0) {
		perror("send");
		return 1;
	}
	while ((n = read(fd, answer + have, sizeof answer - 1 - have)) > 0)
		have += n;
	if (n < 0) {
		perror("read");
		return 1;
	}
	char *body = strstr(answer, "\r\n\r\n");
	if (body == NULL) {
		fprintf(stderr, "no answer\n");
		return 1;
	}
	body += 4;
	char *length = strstr(answer, "Content-Length: ");
	if (length == NULL || answer + have - body != atol(length + 16)) {
		fprintf(stderr, "the answer was cut short\n");
		return 1;
	}
	fwrite(body, 1, answer + have - body, stdout);
	return 0;
}
