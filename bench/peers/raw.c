/*
 * The floor that the benchmarks are held against: bpf(2) from C, with nothing in between.
 *
 * A long-lived child process. It reads one command a line from stdin, does the work, and answers "ok <nanoseconds>" or
 * "error <text>", so that its rounds can alternate with rounds of the other sides. The clock runs inside, around
 * the work only. It ends with its stdin.
 *
 *   open ID          the map that get, set, delete, entries and set_many work on: HASH u32 -> u64, all keys present
 *   get N            N BPF_MAP_LOOKUP_ELEM
 *   set N            N BPF_MAP_UPDATE_ELEM of present keys
 *   delete N         N BPF_MAP_DELETE_ELEM of present keys; puts them back after the clock has stopped
 *   entries N        N times the whole map by BPF_MAP_LOOKUP_BATCH, copied into a buffer and not looked at
 *   set_many N       N present keys in one BPF_MAP_UPDATE_BATCH
 *   outer_batch N    creates N inner maps of one entry each, installs them in one BPF_MAP_UPDATE_BATCH, closes them
 *   outer_single N   the same with one BPF_MAP_UPDATE_ELEM for each
 *   open_prog ID     the program that test_run works on: XDP
 *   test_run N       N BPF_PROG_TEST_RUN on a packet, which is written back
 *   load N           N BPF_PROG_LOAD of a program of LOAD_INSNS instructions, each closed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* As in workload.ts. */
#define ENTRIES 100000
#define STRIDE 61803
#define INNER_MAX_ENTRIES 10
#define OUTER_MAX_ENTRIES 256
#define PACKET_BYTES 64
#define LOAD_INSNS 100

#define CHUNK 4096

static uint32_t probes[ENTRIES];
static uint32_t batch_keys[ENTRIES];
static uint64_t batch_values[ENTRIES];
static uint32_t cursor;
static int map = -1, outer = -1, prog = -1;

/* The attr up to the end of the last field that the command reads: what the kernel need not copy costs nothing. */
#define ATTR_END(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)0)->field))
#define CREATE_SIZE ATTR_END(inner_map_fd)
#define ELEM_SIZE ATTR_END(flags)
#define BATCH_SIZE ATTR_END(batch)
#define ID_SIZE ATTR_END(open_flags)
#define TEST_RUN_SIZE ATTR_END(test.ctx_out)
/* Up to log_true_size, which older headers do not have. */
#define LOAD_SIZE 144

static long bpf(int cmd, union bpf_attr *attr, unsigned int size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t next_probe(void)
{
	uint32_t at = cursor;

	cursor = at + 1 == ENTRIES ? 0 : at + 1;
	return at;
}

/* Zeroed once, as the other sides keep theirs: what the kernel reads are fd, key, value and flags. */
static union bpf_attr elem(int fd, void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return attr;
}

static union bpf_attr batch(int fd, void *keys, void *values, uint32_t count)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = fd;
	attr.batch.keys = (uintptr_t)keys;
	attr.batch.values = (uintptr_t)values;
	attr.batch.count = count;
	return attr;
}

static int create_hash(uint32_t value_size, uint32_t max_entries, int template)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = template < 0 ? BPF_MAP_TYPE_HASH : BPF_MAP_TYPE_HASH_OF_MAPS;
	attr.key_size = 4;
	attr.value_size = value_size;
	attr.max_entries = max_entries;
	if (template >= 0)
		attr.inner_map_fd = template;
	return bpf(BPF_MAP_CREATE, &attr, CREATE_SIZE);
}

/* Every command returns nanoseconds, or -1 with errno set. */

static int64_t open_map(uint32_t id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_id = id;
	map = bpf(BPF_MAP_GET_FD_BY_ID, &attr, ID_SIZE);
	return map < 0 ? -1 : 0;
}

static int64_t get(uint32_t n)
{
	uint32_t key;
	uint64_t value, sum = 0;
	union bpf_attr attr = elem(map, &key, &value);
	int64_t start = now();

	for (uint32_t i = 0; i < n; i++) {
		key = probes[next_probe()];
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr, ELEM_SIZE) < 0)
			return -1;
		sum += *(volatile uint64_t *)&value;
	}
	(void)sum;
	return now() - start;
}

static int64_t set(uint32_t n)
{
	uint32_t key;
	uint64_t value;
	union bpf_attr attr = elem(map, &key, &value);
	int64_t start = now();

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = next_probe();

		key = probes[at];
		value = at;
		if (bpf(BPF_MAP_UPDATE_ELEM, &attr, ELEM_SIZE) < 0)
			return -1;
	}
	return now() - start;
}

static int64_t delete(uint32_t n)
{
	uint32_t key, first = cursor;
	union bpf_attr attr = elem(map, &key, NULL);
	int64_t elapsed, start = now();

	for (uint32_t i = 0; i < n; i++) {
		key = probes[next_probe()];
		if (bpf(BPF_MAP_DELETE_ELEM, &attr, ELEM_SIZE) < 0)
			return -1;
	}
	elapsed = now() - start;
	cursor = first;
	return set(n) < 0 ? -1 : elapsed;
}

static int64_t entries(uint32_t n)
{
	static uint32_t keys[CHUNK];
	static uint64_t values[CHUNK];
	uint32_t position, total = 0;
	union bpf_attr attr = batch(map, keys, values, CHUNK);
	int64_t elapsed, start = now();
	long result;

	attr.batch.out_batch = (uintptr_t)&position;
	for (uint32_t i = 0; i < n; i++) {
		attr.batch.in_batch = 0;
		do {
			attr.batch.count = CHUNK;
			result = bpf(BPF_MAP_LOOKUP_BATCH, &attr, BATCH_SIZE);
			if (result < 0 && errno != ENOENT)
				return -1;
			total += attr.batch.count;
			attr.batch.in_batch = (uintptr_t)&position;
		} while (result == 0);
	}
	elapsed = now() - start;
	if (total == n * ENTRIES)
		return elapsed;
	errno = ERANGE;
	return -1;
}

static int64_t set_many(uint32_t n)
{
	int64_t start = now();
	union bpf_attr attr = batch(map, batch_keys, batch_values, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = next_probe();

		batch_keys[i] = probes[at];
		batch_values[i] = at;
	}
	return bpf(BPF_MAP_UPDATE_BATCH, &attr, BATCH_SIZE) < 0 ? -1 : now() - start;
}

static int create_outer(void)
{
	int template = create_hash(4, INNER_MAX_ENTRIES, -1);

	if (template < 0)
		return -1;
	outer = create_hash(4, OUTER_MAX_ENTRIES, template);
	close(template);
	return outer;
}

static int create_inner(void)
{
	uint32_t key = 12, value = 34;
	int fd = create_hash(4, INNER_MAX_ENTRIES, -1);
	union bpf_attr attr = elem(fd, &key, &value);

	return fd < 0 || bpf(BPF_MAP_UPDATE_ELEM, &attr, ELEM_SIZE) < 0 ? -1 : fd;
}

static int64_t outer_batch(uint32_t n)
{
	uint32_t keys[OUTER_MAX_ENTRIES];
	int fds[OUTER_MAX_ENTRIES];
	union bpf_attr attr = batch(outer, keys, fds, n);
	int64_t start = now();

	for (uint32_t i = 0; i < n; i++) {
		keys[i] = i;
		fds[i] = create_inner();
		if (fds[i] < 0)
			return -1;
	}
	if (bpf(BPF_MAP_UPDATE_BATCH, &attr, BATCH_SIZE) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		close(fds[i]);
	return now() - start;
}

static int64_t outer_single(uint32_t n)
{
	uint32_t key;
	int fd;
	union bpf_attr attr = elem(outer, &key, &fd);
	int64_t start = now();

	for (uint32_t i = 0; i < n; i++) {
		key = i;
		fd = create_inner();
		if (fd < 0 || bpf(BPF_MAP_UPDATE_ELEM, &attr, ELEM_SIZE) < 0)
			return -1;
		close(fd);
	}
	return now() - start;
}

static int64_t open_prog(uint32_t id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	prog = bpf(BPF_PROG_GET_FD_BY_ID, &attr, ID_SIZE);
	return prog < 0 ? -1 : 0;
}

static int64_t test_run(uint32_t n)
{
	static uint8_t packet[PACKET_BYTES], out[PACKET_BYTES + CHUNK];
	union bpf_attr attr;
	uint32_t sum = 0;
	int64_t start;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = prog;
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	attr.test.data_out = (uintptr_t)out;
	attr.test.repeat = 1;
	start = now();
	for (uint32_t i = 0; i < n; i++) {
		attr.test.data_size_out = sizeof(out);
		if (bpf(BPF_PROG_TEST_RUN, &attr, TEST_RUN_SIZE) < 0)
			return -1;
		sum += attr.test.retval;
	}
	start = now() - start;
	return sum == 2 * n ? start : -1;
}

static int64_t load(uint32_t n)
{
	struct bpf_insn insns[LOAD_INSNS];
	union bpf_attr attr;
	int64_t start;

	memset(insns, 0, sizeof(insns));
	for (int i = 0; i < LOAD_INSNS - 1; i++) {
		insns[i].code = BPF_ALU64 | BPF_MOV | BPF_K;
		insns[i].imm = i;
	}
	insns[LOAD_INSNS - 1].code = BPF_JMP | BPF_EXIT;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = LOAD_INSNS;
	attr.license = (uintptr_t)"GPL";
	memcpy(attr.prog_name, "bench", 6);
	start = now();
	for (uint32_t i = 0; i < n; i++) {
		int fd = bpf(BPF_PROG_LOAD, &attr, LOAD_SIZE);

		if (fd < 0)
			return -1;
		close(fd);
	}
	return now() - start;
}

static int64_t run(const char *command, uint32_t n)
{
	int is_outer = strncmp(command, "outer_", 6) == 0;

	errno = EINVAL;
	if (strcmp(command, "open") == 0)
		return open_map(n);
	if (strcmp(command, "open_prog") == 0)
		return open_prog(n);
	if (n > (is_outer ? OUTER_MAX_ENTRIES : ENTRIES) || (is_outer && outer < 0 && create_outer() < 0))
		return -1;
	if (strcmp(command, "get") == 0)
		return get(n);
	if (strcmp(command, "set") == 0)
		return set(n);
	if (strcmp(command, "delete") == 0)
		return delete(n);
	if (strcmp(command, "entries") == 0)
		return entries(n);
	if (strcmp(command, "set_many") == 0)
		return set_many(n);
	if (strcmp(command, "outer_batch") == 0)
		return outer_batch(n);
	if (strcmp(command, "outer_single") == 0)
		return outer_single(n);
	if (strcmp(command, "test_run") == 0)
		return test_run(n);
	if (strcmp(command, "load") == 0)
		return load(n);
	return -1;
}

int main(void)
{
	char line[64], command[32];

	for (uint32_t i = 0; i < ENTRIES; i++)
		probes[i] = ((uint32_t)((uint64_t)i * STRIDE % ENTRIES) * 0x9e3779b1u) & 0x7fffffff;
	while (fgets(line, sizeof(line), stdin)) {
		uint32_t n = 0;
		int64_t elapsed;

		if (sscanf(line, "%31s %u", command, &n) < 1)
			continue;
		elapsed = run(command, n);
		if (elapsed < 0)
			printf("error %s: %s\n", command, strerror(errno));
		else
			printf("ok %lld\n", (long long)elapsed);
		fflush(stdout);
	}
	return 0;
}
