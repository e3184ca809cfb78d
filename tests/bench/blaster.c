/* Sends UDP packets as fast as one core can, and tells how much CPU time that took.
 *
 * On veth the whole path of a packet, through the BNG to its end, runs on the sender's time: so the
 * process's CPU time is what sending plus forwarding cost.
 *
 *   blaster INTERFACE up|down DESTINATION-MAC SESSIONS SECONDS CPU
 *
 * Session i has the MAC 02:00 + i as four octets and the address 100.64.1.0 + i, and the packets go
 * round over all sessions. Prints "packets cpu-nanoseconds".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, FRAME = 64, ETHERNET = 14, IP_HEADER = 20 };

static const uint32_t FIRST_ADDRESS = 0x64400100u; /* 100.64.1.0 */

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint16_t header_checksum(const uint8_t *header)
{
    uint32_t sum = 0;
    for (int at = 0; at < IP_HEADER; at += 2)
        sum += (uint32_t)(header[at] << 8 | header[at + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put16(uint8_t *where, uint16_t value)
{
    value = htons(value);
    memcpy(where, &value, sizeof value);
}

static void put32(uint8_t *where, uint32_t value)
{
    value = htonl(value);
    memcpy(where, &value, sizeof value);
}

/* Everything of a frame that is the same for all sessions. */
static void prepare(uint8_t *frame, const uint8_t *destination)
{
    uint8_t *ip = frame + ETHERNET, *udp = ip + IP_HEADER;
    memset(frame, 0, FRAME);
    memcpy(frame, destination, 6);
    frame[6] = 0x02;
    put16(frame + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, FRAME - ETHERNET);
    ip[8] = 64;
    ip[9] = 17;
    put32(ip + 12, 0xc6336401u); /* 198.51.100.1 */
    put32(ip + 16, 0xc6336401u);
    put16(udp, 5001);
    put16(udp + 2, 5002);
    put16(udp + 4, FRAME - ETHERNET - IP_HEADER);
}

static void address(uint8_t *frame, int upload, uint32_t session)
{
    uint8_t *ip = frame + ETHERNET;
    if (upload) {
        put32(frame + 8, session);
        put32(ip + 12, FIRST_ADDRESS + session);
    } else {
        put32(ip + 16, FIRST_ADDRESS + session);
    }
    put16(ip + 10, 0);
    put16(ip + 10, header_checksum(ip));
}

static int open_interface(const char *name)
{
    struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
    int on = 1, size = 8 << 20, descriptor = socket(AF_PACKET, SOCK_RAW, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&place, sizeof place)) {
        perror(name);
        exit(1);
    }
    setsockopt(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    return descriptor;
}

int main(int count, char **arguments)
{
    static uint8_t frames[BATCH][FRAME];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    uint8_t destination[6];
    if (count != 7 || sscanf(arguments[3], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", destination, destination + 1,
                             destination + 2, destination + 3, destination + 4, destination + 5) != 6) {
        fprintf(stderr, "usage: blaster INTERFACE up|down MAC SESSIONS SECONDS CPU\n");
        return 2;
    }
    int upload = strcmp(arguments[2], "up") == 0;
    uint32_t sessions = (uint32_t)atoi(arguments[4]), session = 0;
    uint64_t duration = (uint64_t)(atof(arguments[5]) * 1e9);
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET(atoi(arguments[6]), &cpu);
    sched_setaffinity(0, sizeof cpu, &cpu);
    int descriptor = open_interface(arguments[1]);
    memset(messages, 0, sizeof messages);
    for (int at = 0; at < BATCH; at++) {
        prepare(frames[at], destination);
        parts[at] = (struct iovec){frames[at], FRAME};
        messages[at].msg_hdr.msg_iov = &parts[at];
        messages[at].msg_hdr.msg_iovlen = 1;
    }
    uint64_t sent = 0, begin = nanoseconds(CLOCK_MONOTONIC), cpu_begin = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    while (nanoseconds(CLOCK_MONOTONIC) - begin < duration) {
        for (int at = 0; at < BATCH; at++) {
            address(frames[at], upload, session);
            session = session + 1 < sessions ? session + 1 : 0;
        }
        int done = sendmmsg(descriptor, messages, BATCH, 0);
        if (done < 0 && errno != ENOBUFS) {
            perror("sendmmsg");
            return 1;
        }
        sent += done > 0 ? (uint64_t)done : 0;
    }
    printf("%llu %llu\n", (unsigned long long)sent,
           (unsigned long long)(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin));
    return 0;
}
