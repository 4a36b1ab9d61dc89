/* A network that is some way off: a UDP relay that holds each datagram back for the same while.
 *
 *   delay --listen 7000 --host 127.0.0.1 --port 6969 --delay-us 100
 *
 * Rule: it changes when datagrams arrive, never what or in which order.  Each way takes --delay-us,
 * counted from the kernel's receive time stamp, so that the relay's own wake-up is inside the delay and not
 * on top of it.  For kernels without netem, and for users who are not root.
 *
 * A client is known by its address.  It has two sockets here: `near` is the TID that it talks to,
 * `far` is the TID that the server sees; the server's own TID is learnt from its first answer.
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
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, OCTETS = 65536, QUEUE = 4096, CLIENTS = 1024, BUFFER = 4 << 20 };

struct link {
  int near, far;
  struct sockaddr_in client, server; /* server.sin_port changes from the listening port to the TID */
  int64_t heard;
};

struct held {
  int64_t due; /* ns of CLOCK_REALTIME, the clock of receive time stamps */
  int fd;
  struct sockaddr_in to;
  uint32_t octets, room;
  uint8_t *data;
};

/* One delay for all: what came first is due first. */
static struct held queue[QUEUE];
static unsigned queue_first, queue_count;
static struct link *links[CLIENTS];
static struct link *by_fd[CLIENTS * 2 + 64];
static int listen_fd, epoll_fd;
static int64_t delay_ns = 100000;
static struct sockaddr_in server_address;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int new_socket(unsigned port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || fd >= (int)(sizeof by_fd / sizeof *by_fd) || bind(fd, (struct sockaddr *)&local, sizeof local)) die("bind");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){BUFFER}, sizeof(int));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){BUFFER}, sizeof(int));
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int));
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
  return fd;
}

/* Find a client's sockets, or make them; when there are too many, the client that was silent longest loses its own. */
static struct link *link_of(const struct sockaddr_in *client) {
  struct link **slot = &links[0];
  for (unsigned i = 0; i < CLIENTS; i++) {
    struct link *link = links[i];
    if (!link) {
      slot = &links[i];
      break;
    }
    if (link->client.sin_port == client->sin_port && link->client.sin_addr.s_addr == client->sin_addr.s_addr) return link;
    if (link->heard < (*slot)->heard) slot = &links[i];
  }
  struct link *link = *slot;
  if (!link) {
    link = *slot = calloc(1, sizeof *link);
    if (!link) die("calloc");
    link->near = new_socket(0);
    link->far = new_socket(0);
    by_fd[link->near] = by_fd[link->far] = link;
  }
  link->client = *client;
  return link;
}

/* Keep a datagram until it is due; a full queue loses it, as a network would. */
static void hold(int fd, const struct sockaddr_in *to, const uint8_t *data, uint32_t octets, int64_t due) {
  if (queue_count == QUEUE) return;
  struct held *held = &queue[(queue_first + queue_count++) % QUEUE];
  if (held->room < octets) {
    held->room = octets < 2048 ? 2048 : OCTETS;
    held->data = realloc(held->data, held->room);
    if (!held->data) die("realloc");
  }
  memcpy(held->data, data, octets);
  held->octets = octets;
  held->fd = fd;
  held->to = *to;
  held->due = due;
}

static void relay(int fd, const struct sockaddr_in *from, const uint8_t *data, uint32_t octets, int64_t received) {
  if (fd == listen_fd) { /* a request: the server's TID is open again */
    struct link *link = link_of(from);
    link->heard = received;
    link->server = server_address;
    hold(link->far, &link->server, data, octets, received + delay_ns);
    return;
  }
  struct link *link = by_fd[fd];
  if (!link) return;
  link->heard = received;
  if (fd == link->far) {
    link->server = *from;
    hold(link->near, &link->client, data, octets, received + delay_ns);
  } else {
    hold(link->far, &link->server, data, octets, received + delay_ns);
  }
}

static int64_t stamp_of(struct msghdr *message, int64_t otherwise) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      return t.tv_sec * 1000000000LL + t.tv_nsec;
    }
  }
  return otherwise;
}

static void receive(int fd) {
  static uint8_t arena[BATCH][OCTETS];
  static struct mmsghdr messages[BATCH];
  static struct iovec vectors[BATCH];
  static struct sockaddr_in names[BATCH];
  static uint64_t control[BATCH][8];
  for (unsigned i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){arena[i], OCTETS};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &vectors[i],
                                          .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof control[i]};
  }
  int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
  int64_t time = now();
  for (int i = 0; i < count; i++) relay(fd, &names[i], arena[i], messages[i].msg_len, stamp_of(&messages[i].msg_hdr, time));
}

/* Send what is due: neighbours in the queue that leave by the same socket share a system call. */
static void release(void) {
  static struct mmsghdr messages[BATCH];
  static struct iovec vectors[BATCH];
  int64_t time = now();
  while (queue_count && queue[queue_first].due <= time) {
    unsigned count = 0;
    int fd = queue[queue_first].fd;
    for (; count < BATCH && count < queue_count; count++) {
      struct held *held = &queue[(queue_first + count) % QUEUE];
      if (held->fd != fd || held->due > time) break;
      vectors[count] = (struct iovec){held->data, held->octets};
      messages[count].msg_hdr = (struct msghdr){.msg_name = &held->to, .msg_namelen = sizeof held->to, .msg_iov = &vectors[count], .msg_iovlen = 1};
    }
    sendmmsg(fd, messages, count, 0); /* what is refused is lost */
    queue_first = (queue_first + count) % QUEUE;
    queue_count -= count;
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"listen", 1, 0, 'l'}, {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"delay-us", 1, 0, 'd'}, {0, 0, 0, 0}};
  unsigned listen_port = 0;
  server_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (letter == 'l') listen_port = (unsigned)atoi(optarg);
    else if (letter == 'h') inet_aton(optarg, &server_address.sin_addr);
    else if (letter == 'p') server_address.sin_port = htons((uint16_t)atoi(optarg));
    else if (letter == 'd') delay_ns = atoll(optarg) * 1000;
    else return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  listen_fd = new_socket(listen_port);
  for (;;) {
    struct epoll_event events[BATCH];
    struct timespec pause = {1, 0};
    if (queue_count) {
      int64_t left = queue[queue_first].due - now();
      pause = (struct timespec){0, left > 0 ? left : 0};
    }
    int count = epoll_pwait2(epoll_fd, events, BATCH, &pause, NULL);
    for (int i = 0; i < count; i++) receive(events[i].data.fd);
    release();
  }
}
