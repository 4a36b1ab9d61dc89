/* A light TFTP load generator: many clients in one process, one epoll loop, every octet compared.
 *
 *   load --port 6969 --file big --reference /srv/tftp/big --clients 100 --blksize 1428 --windowsize 8 --seconds 2
 *
 * Rule: it must cost less CPU than any server that it measures, so a datagram costs one system call or
 * less (recvmmsg for windows, sendmmsg for uploads, sockets connected to the TID for large files), and
 * no server can hide a wrong octet behind its speed.  It does not judge: it prints counts as one line of
 * JSON, and exits with 0 even if transfers failed.  What the numbers mean belongs to the runner.
 *
 * Clients behave as RFC 7440 clients do: an ACK for each whole window, and one for the last block in
 * order as soon as a gap is seen; request and ACK are sent again after --resend-ms of silence.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RRQ = 1, WRQ, DATA, ACK, ERROR, OACK };
enum { BATCH = 64, EVENTS = 256, HEADER = 4, RESEND_MAX = 20 };
enum { CONNECT_OCTETS_MIN = 256 * 1024 }; /* below, connect() costs more than it saves */
enum { POOL = 8192 }; /* sockets of small transfers, made before the clock runs, used in turn: a port comes back late */

struct client {
  int fd;
  bool open, locked, connected, gap_told;
  int gap_ahead; /* how far beyond the gap the last block was: it falls when a window is sent again */
  struct sockaddr_in peer;
  unsigned blksize, windowsize, in_window, resent_in_a_row;
  uint64_t block;  /* download: the next expected; upload: the first that is not acknowledged */
  uint64_t offset; /* download: octets received; upload: octets acknowledged */
  double heard;
  uint64_t random_state; /* of its losses */
};

static struct {
  const char *file, *reference;
  struct sockaddr_in server;
  unsigned clients, blksize, windowsize, timeout, resend_ms, repeat, receive_buffer;
  uint64_t transfers_max;
  double seconds, loss;
  bool put;
  uint64_t seed;
} cfg = {.clients = 1, .blksize = 512, .windowsize = 1, .resend_ms = 1000, .seconds = 100};

static struct {
  uint64_t octets, blocks, begun, completed, failed, corrupt, requests_resent, acks_resent, data_resent, dropped;
  unsigned blksize, windowsize;
  char error[128];
} did;

static const uint8_t *reference;
static uint64_t reference_octets;
static uint8_t request[700];
static size_t request_octets;
static struct client *clients;
static int epoll_fd = -1;
static struct client **owners; /* by file descriptor; NULL: in the pool */
static int pool[POOL];
static unsigned pool_first, pool_count;
static bool pooled;
static unsigned open_count;
static uint8_t *arena;
static size_t arena_stride;
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH * 2];
static struct sockaddr_in names[BATCH];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* xorshift64*, a stream for each client: the same datagrams of a client are lost with each server of a round. */
static bool lost(struct client *c) {
  if (cfg.loss <= 0) return false;
  uint64_t x = c->random_state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  c->random_state = x;
  bool hit = (double)((x * 2685821657736338717ULL) >> 11) / 9007199254740992.0 * 100.0 < cfg.loss;
  did.dropped += hit;
  return hit;
}

static void put_text(const char *text) {
  size_t octets = strlen(text) + 1;
  if (request_octets + octets > sizeof request) {
    fputs("load: the request is too long\n", stderr);
    exit(2);
  }
  memcpy(request + request_octets, text, octets);
  request_octets += octets;
}

static void put_option(const char *name, unsigned value) {
  char text[16];
  snprintf(text, sizeof text, "%u", value);
  put_text(name);
  put_text(text);
}

static void make_request(void) {
  request[1] = cfg.put ? WRQ : RRQ;
  request_octets = 2;
  put_text(cfg.file);
  put_text("octet");
  if (cfg.blksize != 512) put_option("blksize", cfg.blksize);
  if (cfg.windowsize > 1) put_option("windowsize", cfg.windowsize);
  if (cfg.timeout) put_option("timeout", cfg.timeout);
}

static void map_reference(void) {
  int fd = open(cfg.reference, O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st)) die(cfg.reference);
  reference_octets = (uint64_t)st.st_size;
  if (reference_octets) {
    reference = mmap(NULL, reference_octets, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (reference == MAP_FAILED) die("mmap");
  }
  close(fd);
}

static void send_to(struct client *c, const void *data, size_t octets) {
  /* A full buffer counts as a lost datagram: what is missing is sent again. */
  if (c->connected) send(c->fd, data, octets, 0);
  else sendto(c->fd, data, octets, 0, (struct sockaddr *)(c->locked ? &c->peer : &cfg.server), sizeof c->peer);
}

static int new_socket(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (cfg.receive_buffer && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &cfg.receive_buffer, sizeof cfg.receive_buffer))
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &cfg.receive_buffer, sizeof cfg.receive_buffer);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
  return fd;
}

static void fill_pool(unsigned sockets) {
  for (pool_count = 0; pool_count < sockets && pool_count < POOL; pool_count++) pool[pool_count] = new_socket();
  pooled = true;
}

static int socket_of_pool(void) {
  int fd = pool[pool_first];
  uint8_t late[HEADER];
  pool_first = (pool_first + 1) % POOL;
  pool_count--;
  while (recv(fd, late, sizeof late, MSG_DONTWAIT) >= 0) continue; /* of the transfer before: none of ours */
  return fd;
}

static void give_back(int fd) {
  owners[fd] = NULL;
  if (pooled) pool[(pool_first + pool_count++) % POOL] = fd;
  else close(fd); /* leaves the epoll set by that */
}

static void begin(struct client *c) {
  c->fd = pooled ? socket_of_pool() : new_socket();
  owners[c->fd] = c;
  c->open = true;
  c->locked = c->connected = c->gap_told = false;
  c->blksize = 512;
  c->windowsize = 1;
  c->in_window = c->resent_in_a_row = 0;
  c->gap_ahead = 0;
  c->block = cfg.put ? 0 : 1;
  c->offset = 0;
  c->heard = now();
  open_count++;
  did.begun++;
  send_to(c, request, request_octets);
}

static void note_error(const char *text) {
  if (!did.error[0]) snprintf(did.error, sizeof did.error, "%s", text);
}

/* End a transfer.  `why` tells the server, unless it said the last word itself. */
static void end(struct client *c, bool completed, const char *why) {
  if (why) {
    uint8_t packet[128] = {0, ERROR};
    int octets = snprintf((char *)packet + 4, sizeof packet - 4, "%s", why);
    if (c->locked) send_to(c, packet, (size_t)octets + 5);
  }
  did.completed += completed;
  give_back(c->fd);
  c->open = false;
  open_count--;
}

static void fail(struct client *c, const char *text, const char *why) {
  note_error(text);
  did.failed++;
  end(c, false, why);
}

static void send_ack(struct client *c, uint64_t block) {
  uint8_t packet[4] = {0, ACK, (uint8_t)(block >> 8), (uint8_t)block};
  c->in_window = 0;
  if (!lost(c)) send_to(c, packet, sizeof packet);
}

static void send_window(struct client *c) {
  static uint8_t headers[BATCH][HEADER];
  uint64_t last = reference_octets / c->blksize + 1;
  unsigned count = 0;
  for (uint64_t block = c->block; count < c->windowsize && count < BATCH && block <= last; block++, count++) {
    uint64_t offset = (block - 1) * c->blksize;
    uint64_t left = reference_octets - offset;
    memcpy(headers[count], (uint8_t[]){0, DATA, (uint8_t)(block >> 8), (uint8_t)block}, HEADER);
    vectors[2 * count] = (struct iovec){headers[count], HEADER};
    vectors[2 * count + 1] = (struct iovec){(void *)(uintptr_t)(reference + offset), left < c->blksize ? left : c->blksize};
    messages[count].msg_hdr = (struct msghdr){.msg_iov = &vectors[2 * count], .msg_iovlen = 2};
    if (!c->connected) {
      messages[count].msg_hdr.msg_name = &c->peer;
      messages[count].msg_hdr.msg_namelen = sizeof c->peer;
    }
  }
  if (count) sendmmsg(c->fd, messages, count, 0);
}

/* Take the TID that the first answer comes from; a later answer from another one is none of ours. */
static bool from_peer(struct client *c, const struct sockaddr_in *from) {
  if (!c->locked) {
    c->peer = *from;
    c->locked = true;
    if (reference_octets >= CONNECT_OCTETS_MIN && !connect(c->fd, (struct sockaddr *)from, sizeof *from)) c->connected = true;
    return true;
  }
  return c->connected || (from->sin_port == c->peer.sin_port && from->sin_addr.s_addr == c->peer.sin_addr.s_addr);
}

static void take_options(struct client *c, const uint8_t *packet, size_t octets) {
  const char *text = (const char *)packet + 2, *stop = (const char *)packet + octets;
  while (text < stop) {
    const char *value = memchr(text, 0, (size_t)(stop - text));
    if (!value || ++value >= stop || !memchr(value, 0, (size_t)(stop - value))) break;
    unsigned number = (unsigned)strtoul(value, NULL, 10);
    if (!strcasecmp(text, "blksize") && number >= 8 && number <= cfg.blksize) c->blksize = number;
    if (!strcasecmp(text, "windowsize") && number >= 1 && number <= cfg.windowsize) c->windowsize = number;
    text = value + strlen(value) + 1;
  }
}

static void granted(const struct client *c) {
  did.blksize = c->blksize;
  did.windowsize = c->windowsize;
}

static void on_data(struct client *c, const uint8_t *packet, size_t octets) {
  if (c->block == 1 && !c->offset) granted(c);
  if (lost(c)) return;
  if ((packet[2] << 8 | packet[3]) != (int)(c->block & 0xffff)) {
    /* RFC 7440 section 4: a gap is told at once, by the last block in order; once for each pass of the
     * window, not for each block.  A block that is behind is a duplicate: its ACK is the timer's work. */
    int16_t ahead = (int16_t)((packet[2] << 8 | packet[3]) - (int)(c->block & 0xffff));
    if (c->windowsize > 1 && ahead > 0) {
      if (!c->gap_told || ahead <= c->gap_ahead) send_ack(c, c->block - 1);
      c->gap_told = true;
      c->gap_ahead = ahead;
    } else if (c->windowsize == 1 && ahead < 0) {
      send_ack(c, c->block - 1); /* the server did not see our ACK */
    }
    return;
  }
  size_t length = octets - HEADER;
  if (length > c->blksize || c->offset + length > reference_octets || memcmp(reference + c->offset, packet + HEADER, length)) {
    did.corrupt++;
    fail(c, "wrong octets", "wrong octets");
    return;
  }
  c->gap_told = false;
  c->resent_in_a_row = 0;
  c->offset += length;
  c->block++;
  did.octets += length;
  did.blocks++;
  bool last = length < c->blksize;
  if (last || ++c->in_window >= c->windowsize) send_ack(c, c->block - 1);
  if (!last) return;
  if (c->offset == reference_octets) end(c, true, NULL);
  else {
    did.corrupt++;
    fail(c, "the file ended early", NULL);
  }
}

static void on_ack(struct client *c, const uint8_t *packet) {
  unsigned ahead = (uint16_t)((packet[2] << 8 | packet[3]) + 1 - (int)(c->block & 0xffff));
  /* A duplicate, or not of this window: never answered by DATA (RFC 1123 section 4.2.3.1). */
  if (!ahead || ahead > c->windowsize) return;
  uint64_t next = c->block + ahead;
  if (!c->block) granted(c);
  uint64_t offset = next > 1 ? (next - 1) * c->blksize : 0;
  uint64_t blocks = next - (c->block ? c->block : 1);
  bool finished = offset > reference_octets;
  if (finished) offset = reference_octets;
  did.octets += offset - c->offset;
  did.blocks += blocks;
  c->offset = offset;
  c->block = next;
  c->resent_in_a_row = 0;
  if (finished) end(c, true, NULL);
  else send_window(c);
}

static void on_packet(struct client *c, const uint8_t *packet, size_t octets, const struct sockaddr_in *from, double time) {
  if (octets < HEADER || !from_peer(c, from)) return;
  c->heard = time;
  switch (packet[1]) {
    case DATA:
      if (!cfg.put) on_data(c, packet, octets);
      break;
    case ACK:
      if (cfg.put) on_ack(c, packet);
      break;
    case OACK:
      if (c->block > 1 || c->offset) break;
      take_options(c, packet, octets);
      granted(c);
      if (cfg.put) on_ack(c, (const uint8_t[]){0, ACK, 0, 0});
      else {
        uint8_t ack[4] = {0, ACK, 0, 0};
        send_to(c, ack, sizeof ack);
      }
      break;
    case ERROR: {
      char text[100];
      snprintf(text, sizeof text, "ERROR %d: %.*s", packet[2] << 8 | packet[3], (int)(octets - HEADER), packet + HEADER);
      fail(c, text, NULL);
      break;
    }
    default:
      fail(c, "an opcode that is none", NULL);
  }
}

/* Receive what is there: a window by recvmmsg, a lone block by one recvfrom (no second one for EAGAIN).
 * Returns whether anything came; a blocking socket waits for the first datagram. */
static bool receive(struct client *c, double time) {
  if (c->windowsize == 1 || cfg.put) {
    struct sockaddr_in from;
    socklen_t from_octets = sizeof from;
    ssize_t octets = recvfrom(c->fd, arena, arena_stride, 0, (struct sockaddr *)&from, &from_octets);
    if (octets < 0) return false;
    on_packet(c, arena, (size_t)octets, &from, time);
    return true;
  }
  unsigned batch = c->windowsize < BATCH ? c->windowsize : BATCH;
  for (unsigned i = 0; i < batch; i++) {
    vectors[i] = (struct iovec){arena + i * arena_stride, arena_stride};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  int count = recvmmsg(c->fd, messages, batch, MSG_WAITFORONE, NULL);
  for (int i = 0; i < count && c->open; i++) on_packet(c, arena + (size_t)i * arena_stride, messages[i].msg_len, &names[i], time);
  return count > 0;
}

static void resend(struct client *c, double time) {
  if (time - c->heard < cfg.resend_ms / 1000.0) return;
  c->heard = time;
  if (++c->resent_in_a_row > RESEND_MAX) {
    fail(c, "the server fell silent", "timed out");
  } else if (!c->locked) {
    did.requests_resent++;
    send_to(c, request, request_octets);
  } else if (cfg.put) {
    did.data_resent++;
    if (c->block) send_window(c);
  } else {
    did.acks_resent++;
    c->gap_told = false;
    send_ack(c, c->block - 1);
  }
}

static bool more_wanted(void) { return cfg.repeat && (!cfg.transfers_max || did.begun < cfg.transfers_max); }

static void run_many(double began) {
  struct epoll_event events[EVENTS];
  double scanned = began;
  while (open_count) {
    int count = epoll_wait(epoll_fd, events, EVENTS, 10);
    double time = now();
    if (time - began >= cfg.seconds) break;
    for (int i = 0; i < count; i++) {
      struct client *c = owners[events[i].data.fd];
      uint8_t late[HEADER];
      if (!c) recv(events[i].data.fd, late, sizeof late, MSG_DONTWAIT);
      else receive(c, time);
      if (c && !c->open && more_wanted()) begin(c);
    }
    if (time - scanned < 0.01) continue;
    scanned = time;
    for (unsigned i = 0; i < cfg.clients; i++) {
      if (clients[i].open) resend(&clients[i], time);
    }
  }
}

/* A lone client blocks in recv: no epoll; the socket's timeout is its timer, the clock is read now and then. */
static void run_one(struct client *c, double began) {
  unsigned turns = 0;
  double time = began;
  for (;;) {
    if (!c->open && more_wanted()) {
      begin(c);
      int flags = fcntl(c->fd, F_GETFL);
      struct timeval pause = {0, 10000};
      fcntl(c->fd, F_SETFL, flags & ~O_NONBLOCK);
      setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
    }
    if (!c->open) return;
    bool came = receive(c, time);
    if (!came || !(++turns & 15)) time = now();
    if (!came && c->open) resend(c, time);
    if (time - began >= cfg.seconds) return;
  }
}

static void usage(void) {
  fputs("usage: load --port PORT --file NAME --reference PATH [--host ADDR] [--put] [--clients N]\n"
        "            [--blksize N] [--windowsize N] [--timeout S] [--seconds S] [--transfers N] [--repeat]\n"
        "            [--loss PERCENT] [--seed N] [--resend-ms N] [--receive-buffer OCTETS]\n", stderr);
  exit(2);
}

static void parse(int argc, char **argv) {
  static const struct option options[] = {
      {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"file", 1, 0, 'f'}, {"reference", 1, 0, 'r'}, {"put", 0, 0, 'u'},
      {"clients", 1, 0, 'n'}, {"blksize", 1, 0, 'b'}, {"windowsize", 1, 0, 'w'}, {"timeout", 1, 0, 't'},
      {"seconds", 1, 0, 's'}, {"transfers", 1, 0, 'm'}, {"repeat", 0, 0, 'R'}, {"loss", 1, 0, 'l'},
      {"seed", 1, 0, 'S'}, {"resend-ms", 1, 0, 'i'}, {"receive-buffer", 1, 0, 'B'}, {0, 0, 0, 0}};
  cfg.server = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (letter) {
      case 'h': if (!inet_aton(optarg, &cfg.server.sin_addr)) usage(); break;
      case 'p': cfg.server.sin_port = htons((uint16_t)atoi(optarg)); break;
      case 'f': cfg.file = optarg; break;
      case 'r': cfg.reference = optarg; break;
      case 'u': cfg.put = true; break;
      case 'n': cfg.clients = (unsigned)atoi(optarg); break;
      case 'b': cfg.blksize = (unsigned)atoi(optarg); break;
      case 'w': cfg.windowsize = (unsigned)atoi(optarg); break;
      case 't': cfg.timeout = (unsigned)atoi(optarg); break;
      case 's': cfg.seconds = atof(optarg); break;
      case 'm': cfg.transfers_max = strtoull(optarg, NULL, 10); break;
      case 'R': cfg.repeat = 1; break;
      case 'l': cfg.loss = atof(optarg); break;
      case 'S': cfg.seed = strtoull(optarg, NULL, 10); break;
      case 'i': cfg.resend_ms = (unsigned)atoi(optarg); break;
      case 'B': cfg.receive_buffer = (unsigned)atoi(optarg); break;
      default: usage();
    }
  }
  if (!cfg.file || !cfg.reference || !cfg.server.sin_port || !cfg.clients || !cfg.windowsize) usage();
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

static void report(double wall) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  for (char *c = did.error; *c; c++) {
    if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '?';
  }
  printf("{\"wall_seconds\": %.6f, \"cpu_seconds\": %.6f, \"octets\": %llu, \"blocks\": %llu, \"transfers\": %llu, "
         "\"failed\": %llu, \"corrupt\": %llu, \"unfinished\": %u, \"requests_resent\": %llu, \"acks_resent\": %llu, "
         "\"data_resent\": %llu, \"dropped\": %llu, \"blksize\": %u, \"windowsize\": %u, \"error\": \"%s\"}\n",
         wall, seconds_of(used.ru_utime) + seconds_of(used.ru_stime), (unsigned long long)did.octets,
         (unsigned long long)did.blocks, (unsigned long long)did.completed, (unsigned long long)did.failed,
         (unsigned long long)did.corrupt, open_count, (unsigned long long)did.requests_resent,
         (unsigned long long)did.acks_resent, (unsigned long long)did.data_resent, (unsigned long long)did.dropped,
         did.blksize, did.windowsize, did.error);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  make_request();
  map_reference();
  prctl(PR_SET_TIMERSLACK, 1);
  arena_stride = (cfg.blksize > 512 ? cfg.blksize : 512) + 64;
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  unsigned sockets_max = (unsigned)files.rlim_cur < 65536 ? (unsigned)files.rlim_cur : 65536;
  arena = malloc(arena_stride * BATCH);
  clients = calloc(cfg.clients, sizeof *clients);
  owners = calloc(sockets_max, sizeof *owners);
  if (!arena || !clients || !owners) die("malloc");
  for (unsigned i = 0; i < cfg.clients; i++) clients[i].random_state = 88172645463325252ULL + (cfg.seed * 4096 + i) * 0x9e3779b97f4a7c15ULL;
  memset(arena, 0, arena_stride * BATCH);
  bool repeat = cfg.repeat;
  double began;
  if (cfg.clients == 1) {
    cfg.repeat = 1;
    if (!repeat && !cfg.transfers_max) cfg.transfers_max = 1;
    began = now();
    run_one(clients, began);
  } else {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (repeat && reference_octets < CONNECT_OCTETS_MIN && cfg.clients <= POOL / 8 && sockets_max >= POOL + 64) fill_pool(POOL);
    began = now();
    for (unsigned i = 0; i < cfg.clients; i++) begin(&clients[i]);
    run_many(began);
  }
  double wall = now() - began;
  unsigned unfinished = open_count;
  for (unsigned i = 0; i < cfg.clients; i++) {
    if (clients[i].open) end(&clients[i], false, "the measurement is over");
  }
  open_count = unfinished;
  report(wall);
  return 0;
}
