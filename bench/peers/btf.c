/*
 * BTF by libbpf, for the benchmarks of BTF. It speaks the protocol of raw.c.
 *
 *   btf_open N   N times: read the kernel's BTF, find struct task_struct, free all
 *   btf_find N   N names of structs, far apart from each other, in BTF that is open. Opens it before the clock starts
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATH "/sys/kernel/btf/vmlinux"
#define MAX_NAMES 10000

static struct btf *opened;
static const char *names[MAX_NAMES];
static uint32_t name_count;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t btf_open(uint32_t n)
{
	int64_t start = now();

	for (uint32_t i = 0; i < n; i++) {
		struct btf *btf = btf__parse(PATH, NULL);

		if (!btf || btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT) <= 0)
			return -1;
		btf__free(btf);
	}
	return now() - start;
}

/* Every k-th struct that has a name, as in suites/btf.ts. */
static int choose(uint32_t n)
{
	static uint32_t ids[1 << 20];
	uint32_t count = 0, end;

	if (!opened)
		opened = btf__parse(PATH, NULL);
	if (!opened || n > MAX_NAMES)
		return -1;
	end = btf__type_cnt(opened);
	for (uint32_t id = 1; id < end && count < 1 << 20; id++) {
		const struct btf_type *type = btf__type_by_id(opened, id);

		if (btf_is_struct(type) && type->name_off)
			ids[count++] = id;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = ids[(uint64_t)i * count / n];

		names[i] = btf__name_by_offset(opened, btf__type_by_id(opened, id)->name_off);
	}
	name_count = n;
	return 0;
}

static int64_t btf_find(uint32_t n)
{
	int64_t start;

	if (name_count != n && choose(n) < 0)
		return -1;
	start = now();
	for (uint32_t i = 0; i < n; i++)
		if (btf__find_by_name_kind(opened, names[i], BTF_KIND_STRUCT) <= 0)
			return -1;
	return now() - start;
}

int main(void)
{
	char line[64], command[32];

	while (fgets(line, sizeof(line), stdin)) {
		uint32_t n = 0;
		int64_t elapsed = -1;

		if (sscanf(line, "%31s %u", command, &n) < 1)
			continue;
		errno = EINVAL;
		if (strcmp(command, "btf_open") == 0)
			elapsed = btf_open(n);
		else if (strcmp(command, "btf_find") == 0)
			elapsed = btf_find(n);
		if (elapsed < 0)
			printf("error %s: %s\n", command, strerror(errno));
		else
			printf("ok %lld\n", (long long)elapsed);
		fflush(stdout);
	}
	return 0;
}
