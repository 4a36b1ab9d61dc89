/* The ceiling: what the kernel allows a TFTP read server that does nothing else.
 *
 *   limit --port 6969 --root /srv/tftp [--no-gso]
 *
 * Rule: no features.  One process, one epoll loop, one socket for requests and one for all transfers;
 * ACKs by recvmmsg, answers by sendmmsg, a window by UDP_SEGMENT (with --no-gso a datagram each, every
 * one by its own sendmsg, as the servers of the field do).  It confines no names, limits nothing, logs
 * nothing and re-sends whole windows after a second: never serve anything with it but this benchmark.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { RRQ = 1, DATA = 3, ACK, ERROR, OACK };
enum { BATCH = 64, SLOTS = 1 << 16, FILES = 16, WINDOW_MAX = 64 };
enum { GSO_OCTETS_MAX = 65507, GSO_SEGMENTS_MAX = 64, RECEIVE_BUFFER = 4 << 20 };

struct file {
  char name[256];
  const uint8_t *octets;
  uint64_t size;
};

struct transfer {
  struct sockaddr_in peer;
  bool open;
  const struct file *file;
  unsigned blksize, windowsize;
  uint64_t base; /* the first block that is not acknowledged; 0: the OACK is not */
  double sent;
  uint8_t oack[64];
  unsigned oack_octets;
};

/* What one sendmmsg takes: messages, their vectors and the headers of their blocks. */
static struct {
  struct mmsghdr messages[BATCH];
  struct iovec vectors[BATCH * 2 * WINDOW_MAX];
  uint8_t headers[BATCH * WINDOW_MAX][4];
  union {
    char octets[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr aligned;
  } control[BATCH];
  unsigned messages_count, vectors_count, headers_count;
} out;

static struct transfer *transfers[SLOTS]; /* by the client's port; the benchmark has one host */
static struct file files[FILES];
static unsigned files_count;
static int requests_fd, transfers_fd;
static const char *root = ".";
static bool gso = true;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static const struct file *file_of(const char *name) {
  for (unsigned i = 0; i < files_count; i++) {
    if (!strcmp(files[i].name, name)) return &files[i];
  }
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", root, name);
  struct stat st;
  int fd = open(path, O_RDONLY);
  if (files_count == FILES || strlen(name) >= sizeof files[0].name || fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
    if (fd >= 0) close(fd);
    return NULL;
  }
  struct file *file = &files[files_count];
  file->size = (uint64_t)st.st_size;
  file->octets = st.st_size ? mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
  close(fd);
  if (file->octets == MAP_FAILED) return NULL;
  strcpy(file->name, name);
  files_count++;
  return file;
}

static void flush(void) {
  for (unsigned sent = 0; sent < out.messages_count;) {
    if (!gso) {
      sendmsg(transfers_fd, &out.messages[sent].msg_hdr, 0);
      sent++;
      continue;
    }
    int count = sendmmsg(transfers_fd, out.messages + sent, out.messages_count - sent, 0);
    sent += count > 0 ? (unsigned)count : 1; /* what the kernel refuses is lost; the timer knows */
  }
  out.messages_count = out.vectors_count = out.headers_count = 0;
}

static struct msghdr *message_to(struct transfer *t) {
  struct msghdr *message = &out.messages[out.messages_count].msg_hdr;
  *message = (struct msghdr){.msg_name = &t->peer, .msg_namelen = sizeof t->peer, .msg_iov = &out.vectors[out.vectors_count]};
  return message;
}

static void add_segments(struct msghdr *message, unsigned segment) {
  char *control = out.control[out.messages_count].octets;
  message->msg_control = control;
  message->msg_controllen = sizeof out.control[0].octets;
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  memcpy(CMSG_DATA(header), &(uint16_t){(uint16_t)segment}, sizeof(uint16_t));
}

static void send_window(struct transfer *t, double time) {
  uint64_t last = t->file->size / t->blksize + 1;
  uint64_t stop = t->base + t->windowsize <= last + 1 ? t->base + t->windowsize : last + 1;
  unsigned segments_max = gso ? GSO_OCTETS_MAX / (t->blksize + 4) : 1;
  if (segments_max > GSO_SEGMENTS_MAX) segments_max = GSO_SEGMENTS_MAX;
  if (!segments_max) segments_max = 1;
  t->sent = time;
  for (uint64_t block = t->base; block < stop;) {
    if (out.messages_count == BATCH) flush();
    struct msghdr *message = message_to(t);
    unsigned segments = 0;
    for (; block < stop && segments < segments_max; block++, segments++) {
      uint64_t offset = (block - 1) * t->blksize, left = t->file->size - offset;
      uint8_t *header = out.headers[out.headers_count++];
      memcpy(header, (uint8_t[]){0, DATA, (uint8_t)(block >> 8), (uint8_t)block}, 4);
      out.vectors[out.vectors_count++] = (struct iovec){header, 4};
      out.vectors[out.vectors_count++] =
          (struct iovec){(void *)(uintptr_t)(t->file->octets + offset), left < t->blksize ? left : t->blksize};
    }
    message->msg_iovlen = 2 * segments;
    if (segments > 1) add_segments(message, t->blksize + 4);
    out.messages_count++;
  }
}

static void send_oack(struct transfer *t, double time) {
  if (out.messages_count == BATCH) flush();
  struct msghdr *message = message_to(t);
  out.vectors[out.vectors_count++] = (struct iovec){t->oack, t->oack_octets};
  message->msg_iovlen = 1;
  out.messages_count++;
  t->sent = time;
}

static void answer(struct transfer *t, double time) {
  if (t->base) send_window(t, time);
  else send_oack(t, time);
}

static void grant(struct transfer *t, const char *name, unsigned value) {
  t->oack_octets += (unsigned)sprintf((char *)t->oack + t->oack_octets, "%s", name) + 1;
  t->oack_octets += (unsigned)sprintf((char *)t->oack + t->oack_octets, "%u", value) + 1;
}

static void on_request(char *packet, size_t octets, const struct sockaddr_in *from, double time) {
  char *text = packet + 2, *stop = packet + octets;
  if (octets < 4 || packet[1] != RRQ || stop[-1]) return;
  const struct file *file = file_of(text);
  if (!file) {
    static const uint8_t missing[] = "\0\5\0\1no such file";
    sendto(transfers_fd, missing, sizeof missing, 0, (const struct sockaddr *)from, sizeof *from);
    return;
  }
  struct transfer **slot = &transfers[from->sin_port];
  if (!*slot && !(*slot = calloc(1, sizeof **slot))) die("calloc");
  struct transfer *t = *slot;
  *t = (struct transfer){.peer = *from, .open = true, .file = file, .blksize = 512, .windowsize = 1, .oack = {0, OACK}, .oack_octets = 2};
  text += strlen(text) + 1;
  if (text < stop) text += strlen(text) + 1;
  while (text < stop) {
    char *value = text + strlen(text) + 1;
    if (value >= stop) break;
    unsigned number = (unsigned)strtoul(value, NULL, 10);
    if (!strcasecmp(text, "blksize") && number >= 8 && t->blksize == 512) grant(t, "blksize", t->blksize = number < 65464 ? number : 65464);
    if (!strcasecmp(text, "windowsize") && number && t->windowsize == 1) grant(t, "windowsize", t->windowsize = number < WINDOW_MAX ? number : WINDOW_MAX);
    text = value + strlen(value) + 1;
  }
  t->base = t->oack_octets == 2;
  answer(t, time);
}

static void on_ack(const uint8_t *packet, size_t octets, const struct sockaddr_in *from, double time) {
  struct transfer *t = transfers[from->sin_port];
  if (octets < 4 || !t || !t->open) return;
  if (packet[1] == ERROR) t->open = false;
  if (packet[1] != ACK) return;
  unsigned ahead = (uint16_t)((packet[2] << 8 | packet[3]) + 1 - (int)(t->base & 0xffff));
  /* None ahead is a duplicate in lock-step, and a lost first block in a window (RFC 7440 section 4). */
  if (ahead > t->windowsize || (!ahead && t->windowsize == 1)) return;
  t->base += ahead;
  if (t->base > t->file->size / t->blksize + 1) t->open = false;
  else send_window(t, time);
}

static void drain(int fd, double time) {
  static uint8_t arena[BATCH][1500];
  static struct mmsghdr messages[BATCH];
  static struct iovec vectors[BATCH];
  static struct sockaddr_in names[BATCH];
  for (;;) {
    for (unsigned i = 0; i < BATCH; i++) {
      vectors[i] = (struct iovec){arena[i], sizeof arena[i]};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
      if (fd == requests_fd) on_request((char *)arena[i], messages[i].msg_len, &names[i], time);
      else on_ack(arena[i], messages[i].msg_len, &names[i], time);
    }
    flush();
    if (count < BATCH) return;
  }
}

static int udp_socket(unsigned port) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof local)) die("bind");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){RECEIVE_BUFFER}, sizeof(int));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){RECEIVE_BUFFER}, sizeof(int));
  return fd;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"port", 1, 0, 'p'}, {"root", 1, 0, 'r'}, {"no-gso", 0, 0, 'n'}, {0, 0, 0, 0}};
  unsigned port = 0;
  for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (letter == 'p') port = (unsigned)atoi(optarg);
    else if (letter == 'r') root = optarg;
    else if (letter == 'n') gso = false;
    else return 2;
  }
  requests_fd = udp_socket(port);
  transfers_fd = udp_socket(0);
  int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, requests_fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = requests_fd});
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, transfers_fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = transfers_fd});
  double scanned = now();
  for (;;) {
    struct epoll_event events[2];
    int count = epoll_wait(epoll_fd, events, 2, 100);
    double time = now();
    for (int i = 0; i < count; i++) drain(events[i].data.fd, time);
    if (time - scanned < 0.1) continue;
    scanned = time;
    for (unsigned i = 0; i < SLOTS; i++) {
      struct transfer *t = transfers[i];
      if (t && t->open && time - t->sent > 1) answer(t, time);
    }
    flush();
  }
}
