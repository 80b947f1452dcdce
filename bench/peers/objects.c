/*
 * Compiled objects by libbpf, for the benchmarks of objects. It speaks the protocol of raw.c; a path has no spaces.
 *
 *   load:PATH N    N times: read the object, load it, close it
 *   fresh:PATH N   the same in N fresh processes, one after the other: each does it once, on its own clock
 *   ready 0        nothing
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_map *map;
	int result;

	if (!object)
		return -1;
	/* One slot a CPU, and no more. */
	map = bpf_object__find_map_by_name(object, "port_stats");
	if (map)
		bpf_map__set_max_entries(map, libbpf_num_possible_cpus());
	result = bpf_object__load(object);
	bpf_object__close(object);
	return result;
}

static int64_t loads(const char *path, uint32_t n)
{
	int64_t start = now();

	for (uint32_t i = 0; i < n; i++)
		if (load(path) < 0)
			return -1;
	return now() - start;
}

/* What libbpf keeps of the kernel's features, it keeps in the process. */
static int64_t fresh(const char *path)
{
	int64_t elapsed = -1;
	int ends[2], status;
	pid_t child;

	if (pipe(ends) < 0)
		return -1;
	child = fork();
	if (child < 0)
		return -1;
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "objects", path, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	if (read(ends[0], &elapsed, sizeof(elapsed)) != sizeof(elapsed))
		elapsed = -1;
	close(ends[0]);
	waitpid(child, &status, 0);
	return elapsed;
}

static int64_t freshes(const char *path, uint32_t n)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		int64_t one = fresh(path);

		if (one < 0)
			return -1;
		sum += one;
	}
	return sum;
}

int main(int argc, char **argv)
{
	char line[4096], command[4096];

	libbpf_set_print(NULL);
	if (argc == 2) {
		int64_t elapsed = loads(argv[1], 1);

		return write(STDOUT_FILENO, &elapsed, sizeof(elapsed)) == sizeof(elapsed) ? 0 : 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		uint32_t n = 0;
		int64_t elapsed = -1;

		if (sscanf(line, "%4095s %u", command, &n) < 1)
			continue;
		errno = EINVAL;
		if (strncmp(command, "load:", 5) == 0)
			elapsed = loads(command + 5, n);
		else if (strncmp(command, "fresh:", 6) == 0)
			elapsed = freshes(command + 6, n);
		else if (strcmp(command, "ready") == 0)
			elapsed = 0;
		if (elapsed < 0)
			printf("error %s: %s\n", command, strerror(errno));
		else
			printf("ok %lld\n", (long long)elapsed);
		fflush(stdout);
	}
	return 0;
}
