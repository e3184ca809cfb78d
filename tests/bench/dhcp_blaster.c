/* Sends DHCPDISCOVERs with option 82 at a steady rate, as many access lines at once.
 *
 *   dhcp_blaster INTERFACE LINES PACKETS-PER-SECOND SECONDS
 *
 * Every packet has another hardware address and transaction. Line i has the circuit-id "9/0/<i>" of the
 * remote-id "node-9", round over LINES lines; with LINES 0 each packet invents a circuit-id and a remote-id.
 * Prints the number of packets sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 16, LARGEST = 400, ETHERNET = 14, IP_HEADER = 20, UDP_HEADER = 8, BOOTP = 240 };

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t now_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put16(uint8_t *where, uint32_t value)
{
    where[0] = (uint8_t)(value >> 8);
    where[1] = (uint8_t)value;
}

static size_t text_option(uint8_t *where, uint8_t code, const char *text)
{
    size_t length = strlen(text);
    where[0] = code;
    where[1] = (uint8_t)length;
    memcpy(where + 2, text, length);
    return length + 2;
}

/* One frame; its length. */
static size_t discover(uint8_t *frame, unsigned lines, unsigned number)
{
    uint8_t *ip = frame + ETHERNET, *udp = ip + IP_HEADER, *bootp = udp + UDP_HEADER, *at = bootp + BOOTP;
    uint64_t chance = next_random();
    char circuit[32], remote[32];
    memset(frame, 0, LARGEST);
    memset(frame, 0xff, 6);
    frame[6] = 0x06;
    memcpy(frame + 7, &chance, 5);
    put16(frame + 12, 0x0800);
    bootp[0] = bootp[1] = 1;
    bootp[2] = 6;
    memcpy(bootp + 4, (uint8_t *)&chance + 3, 4);
    memcpy(bootp + 28, frame + 6, 6);
    memcpy(bootp + 236, "\x63\x82\x53\x63", 4);
    memcpy(at, "\x35\x01\x01", 3);
    at += 3;
    if (lines) {
        snprintf(circuit, sizeof circuit, "9/0/%u", number % lines);
        snprintf(remote, sizeof remote, "node-9");
    } else {
        snprintf(circuit, sizeof circuit, "%llx", (unsigned long long)(chance >> 20));
        snprintf(remote, sizeof remote, "rogue-%u", (unsigned)(chance & 0xffff));
    }
    uint8_t *agent = at;
    at += 2;
    at += text_option(at, 1, circuit);
    at += text_option(at, 2, remote);
    agent[0] = 82;
    agent[1] = (uint8_t)(at - agent - 2);
    *at++ = 0xff;
    size_t length = (size_t)(at - frame);
    ip[0] = 0x45;
    put16(ip + 2, (uint32_t)(length - ETHERNET));
    ip[8] = 64;
    ip[9] = 17;
    memset(ip + 16, 0xff, 4);
    uint32_t sum = 0;
    for (int offset = 0; offset < IP_HEADER; offset += 2)
        sum += (uint32_t)(ip[offset] << 8 | ip[offset + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~sum);
    put16(udp, 68);
    put16(udp + 2, 67);
    put16(udp + 4, (uint32_t)(length - ETHERNET - IP_HEADER));
    return length;
}

int main(int count, char **arguments)
{
    static uint8_t frames[BATCH][LARGEST];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    if (count != 5) {
        fprintf(stderr, "usage: dhcp_blaster INTERFACE LINES PACKETS-PER-SECOND SECONDS\n");
        return 2;
    }
    struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(arguments[1])};
    int descriptor = socket(AF_PACKET, SOCK_RAW, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&place, sizeof place)) {
        perror(arguments[1]);
        return 1;
    }
    unsigned lines = (unsigned)atoi(arguments[2]), number = 0;
    double rate = atof(arguments[3]);
    uint64_t begin = now_nanoseconds(), end = begin + (uint64_t)(atof(arguments[4]) * 1e9), sent = 0;
    memset(messages, 0, sizeof messages);
    while (now_nanoseconds() < end) {
        uint64_t due = (uint64_t)((double)(now_nanoseconds() - begin) / 1e9 * rate);
        if (sent + BATCH > due) {
            struct timespec nap = {0, 500000};
            nanosleep(&nap, NULL);
            continue;
        }
        for (int at = 0; at < BATCH; at++) {
            parts[at] = (struct iovec){frames[at], discover(frames[at], lines, number++)};
            messages[at].msg_hdr.msg_iov = &parts[at];
            messages[at].msg_hdr.msg_iovlen = 1;
        }
        int done = sendmmsg(descriptor, messages, BATCH, 0);
        sent += done > 0 ? (uint64_t)done : 0;
    }
    printf("%llu\n", (unsigned long long)sent);
    return 0;
}
