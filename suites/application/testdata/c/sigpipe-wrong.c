/* Answers each request in two parts, a thread for each client. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int line(int fd, char *text, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, text + have, size - have)) > 0) {
		have += n;
		if (memchr(text, '\n', have) != NULL)
			return 1;
	}
	return 0;
}

static void *serve(void *arg)
{
	int fd = (int)(long)arg;
	struct timeval limit = {.tv_sec = 1, .tv_usec = 700000};
	char text[512];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (line(fd, text, sizeof text) && write(fd, "wait\n", 5) == 5) {
		usleep(20000); /* it is looked up */
		write(fd, "here ", 5);
		usleep(20000);
		write(fd, "it is\nend\n", 10);
	}
	close(fd);
	return NULL;
}

int main(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
	pthread_attr_t detached;

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
