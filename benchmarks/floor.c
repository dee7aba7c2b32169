/* Gibbs sampling of 112 chains of a dense RBM in C: what a kernel of psiprune could reach.

   Compiled for AVX-512, sums of four weights are looked up in tables of 16 (vpermps); for AVX2, sums
   of three weights in tables of 8. Both also with multiply-adds. Sizes come as arguments, such as
   18x9; prints the way, the size and the least microseconds of CPU time of a step, a line each.
   The last two are microseconds on the clock of two threads: of the two handovers of a step alone,
   and of the step by tables with half of the groups of each layer in either thread. */
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LANES 112
#define VECTORS 7 /* whose sums are in registers at once */
#ifdef __AVX512F__
#define WIDTH 16
#define GROUP 4
typedef __m512 vf;
typedef __m512i vi;
#define F(name) _mm512_##name##_ps
#define I(name) _mm512_##name##_epi32
#define LOAD_BITS(p) _mm512_load_si512(p)
#define STORE_BITS(p, x) _mm512_store_si512(p, x)
#define LOOK_UP(table, bits) _mm512_permutexvar_ps(bits, table)
#else
#define WIDTH 8
#define GROUP 3
typedef __m256 vf;
typedef __m256i vi;
#define F(name) _mm256_##name##_ps
#define I(name) _mm256_##name##_epi32
#define LOAD_BITS(p) _mm256_load_si256((const __m256i *)(p))
#define STORE_BITS(p, x) _mm256_store_si256((__m256i *)(p), x)
#define LOOK_UP(table, bits) _mm256_permutevar8x32_ps(table, bits)
#endif
#define ROUNDS (LANES / WIDTH / VECTORS)

static vf with_bit[GROUP];
static int32_t spread[LANES] __attribute__((aligned(64)));

static uint64_t row_key(uint64_t key) {
  uint64_t z = key + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

/* All bits of the lanes in which u < 1 / (1 + 2^y), u uniform. */
static inline vi drawn(vf y, vi lane, vi low, vi high) {
#ifdef __AVX512F__
#define XOR _mm512_xor_si512
#define AS_F _mm512_castsi512_ps
#else
#define XOR _mm256_xor_si256
#define AS_F _mm256_castsi256_ps
#endif
  vi x = I(add)(lane, low);
  x = XOR(x, I(srli)(x, 16));
  x = I(mullo)(x, I(set1)(0x7FEB352D));
  x = XOR(XOR(x, I(srli)(x, 15)), high);
  x = I(mullo)(x, I(set1)(0x846CA68B));
  x = XOR(I(srli)(x, 9), I(srli)(x, 25));
#ifdef __AVX512F__
  x = _mm512_or_si512(x, I(set1)(0x3F800000));
#else
  x = _mm256_or_si256(x, I(set1)(0x3F800000));
  y = F(min)(F(max)(y, F(set1)(-120)), F(set1)(120));
#endif
  vf u = F(sub)(AS_F(x), F(set1)(1 - 0x1p-24f));
#ifdef __AVX512F__
  vf n = _mm512_roundscale_ps(y, 0);
#else
  vf n = _mm256_round_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#endif
  vf f = F(sub)(y, n), e = F(set1)(1.327647129e-3f);
  e = F(fmadd)(e, f, F(set1)(9.675540961e-3f));
  e = F(fmadd)(e, f, F(set1)(5.550713092e-2f));
  e = F(fmadd)(e, f, F(set1)(2.402212024e-1f));
  e = F(fmadd)(e, f, F(set1)(6.931469440e-1f));
  e = F(fmadd)(e, f, F(set1)(1.0f));
#ifdef __AVX512F__
  e = _mm512_scalef_ps(e, n);
  return _mm512_maskz_set1_epi32(
      _mm512_cmp_ps_mask(F(fmadd)(u, e, u), F(set1)(1), _CMP_LT_OQ), -1);
#else
  e = AS_F(I(add)(_mm256_castps_si256(e), I(slli)(_mm256_cvtps_epi32(n), 23)));
  return _mm256_castps_si256(_mm256_cmp_ps(F(fmadd)(u, e, u), F(set1)(1), _CMP_LT_OQ));
#endif
}

static inline vi both(vi a, vi b) {
#ifdef __AVX512F__
  return _mm512_and_si512(a, b);
#else
  return _mm256_and_si256(a, b);
#endif
}

static inline vi either(vi a, vi b) {
#ifdef __AVX512F__
  return _mm512_or_si512(a, b);
#else
  return _mm256_or_si256(a, b);
#endif
}

/* x [group][LANES] and y likewise hold GROUP bits in each int; w [unit][GROUP * groups]. */
static uint64_t by_tables(int start, int units, int groups, const float *w, const int32_t *x,
                          int32_t *y, uint64_t key) {
  for (int first = start; first < units; first += GROUP) {
    int left = units - first < GROUP ? units - first : GROUP;
    for (int round = 0; round < ROUNDS; round++) {
      int begin = round * VECTORS * WIDTH;
      vi bits[VECTORS];
      for (int v = 0; v < VECTORS; v++) bits[v] = I(set1)(0);
      for (int k = 0; k < left; k++) {
        const float *row = w + (size_t)(first + k) * GROUP * groups;
        vf t[VECTORS];
        for (int v = 0; v < VECTORS; v++) t[v] = F(set1)(0);
        for (int g = 0; g < groups; g++) {
          vf table = F(mul)(F(set1)(row[GROUP * g]), with_bit[0]);
          for (int b = 1; b < GROUP; b++)
            table = F(fmadd)(F(set1)(row[GROUP * g + b]), with_bit[b], table);
          for (int v = 0; v < VECTORS; v++)
            t[v] = F(add)(t[v], LOOK_UP(table, LOAD_BITS(x + g * LANES + begin + v * WIDTH)));
        }
        uint64_t mixed = row_key(key + first + k);
        vi low = I(set1)((int32_t)mixed), high = I(set1)((int32_t)(mixed >> 32));
        for (int v = 0; v < VECTORS; v++) {
          vi found = drawn(t[v], LOAD_BITS(spread + begin + v * WIDTH), low, high);
          bits[v] = either(bits[v], both(found, I(set1)(1 << k)));
        }
      }
      for (int v = 0; v < VECTORS; v++)
        STORE_BITS(y + first / GROUP * LANES + begin + v * WIDTH, bits[v]);
    }
  }
  return key + units;
}

/* x [other][LANES] and y [unit][LANES] are 0 or 1; w [unit][others]. */
static uint64_t by_multiply_adds(int units, int others, const float *w, const float *x, float *y,
                                 uint64_t key) {
  for (int j = 0; j < units; j++, key++) {
    uint64_t mixed = row_key(key);
    vi low = I(set1)((int32_t)mixed), high = I(set1)((int32_t)(mixed >> 32));
    for (int round = 0; round < ROUNDS; round++) {
      int begin = round * VECTORS * WIDTH;
      vf t[VECTORS];
      for (int v = 0; v < VECTORS; v++) t[v] = F(set1)(0);
      for (int i = 0; i < others; i++) {
        vf weight = F(set1)(w[j * others + i]);
        for (int v = 0; v < VECTORS; v++)
          t[v] = F(fmadd)(weight, F(load)(x + i * LANES + begin + v * WIDTH), t[v]);
      }
      for (int v = 0; v < VECTORS; v++) {
        vi found = drawn(t[v], LOAD_BITS(spread + begin + v * WIDTH), low, high);
        F(store)(y + j * LANES + begin + v * WIDTH, AS_F(both(found, I(set1)(0x3F800000))));
      }
    }
  }
  return key;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void *zeros(size_t count) {
  size_t bytes = (count * 4 + 4096) / 64 * 64;
  return memset(aligned_alloc(64, bytes), 0, bytes);
}

/* Two threads: each draws half of a layer, then waits until the other has. */
#define BURST 20 /* steps between two looks at the clock */
struct counter {
  _Atomic long value;
  char alone[120]; /* in its cache line, and in the next */
};
static struct counter reached[2] __attribute__((aligned(128))), bursts __attribute__((aligned(128)));

static void wait_for(_Atomic long *value, long least) {
  for (int spins = 0; atomic_load_explicit(value, memory_order_acquire) < least; spins++)
    if (spins < 100000) _mm_pause();
    else sched_yield(); /* another program has the core */
}

static void meet(int me, long number) {
  atomic_store_explicit(&reached[me].value, number, memory_order_release);
  wait_for(&reached[1 - me].value, number);
}

static struct {
  int n, h, groups[2], work;
  const float *down, *up;
  int32_t *v, *hidden;
} shared;

static void half_steps(int me, long burst) {
  int n = shared.n, h = shared.h, gn = shared.groups[0], gh = shared.groups[1];
  int middle_h = (gh + 1) / 2 * GROUP, middle_n = (gn + 1) / 2 * GROUP;
  uint64_t key = 1;
  for (long step = 0; step < BURST; step++) {
    long number = 2 * (BURST * burst + step);
    if (shared.work)
      by_tables(me ? middle_h : 0, me ? h : middle_h, gn, shared.down, shared.v, shared.hidden, key);
    meet(me, number + 1);
    key += h;
    if (shared.work)
      by_tables(me ? middle_n : 0, me ? n : middle_n, gh, shared.up, shared.hidden, shared.v, key);
    meet(me, number + 2);
    key += n;
  }
}

static void *second_thread(void *count) {
  for (long burst = 0; burst < *(long *)count; burst++) {
    wait_for(&bursts.value, burst + 1);
    half_steps(1, burst);
  }
  return NULL;
}

/* Microseconds of a step on the clock in two threads, with the work or without it. */
static double in_two_threads(int work, int32_t *v, const int32_t *expected, size_t bytes) {
  static long count = 200;
  double best = 1e9;
  pthread_t other;
  shared.work = work;
  reached[0].value = reached[1].value = bursts.value = 0;
  if (pthread_create(&other, NULL, second_thread, &count)) exit(1);
  for (long burst = 0; burst < count; burst++) {
    struct timespec begin, end;
    memset(v, 0, bytes);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    atomic_store_explicit(&bursts.value, burst + 1, memory_order_release);
    half_steps(0, burst);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double time = (end.tv_sec - begin.tv_sec + 1e-9 * (end.tv_nsec - begin.tv_nsec)) / BURST;
    if (time < best) best = time;
    if (work && memcmp(v, expected, bytes)) exit(1);
  }
  pthread_join(other, NULL);
  return 1e6 * best;
}

int main(int count, char **sizes) {
  for (int lane = 0; lane < LANES; lane++) spread[lane] = (int32_t)(lane * 0x9E3779B9u);
  for (int b = 0; b < GROUP; b++) {
    float bit[WIDTH];
    for (int k = 0; k < WIDTH; k++) bit[k] = k >> b & 1;
    with_bit[b] = F(loadu)(bit);
  }
  for (int size = 1; size < count; size++) {
    int n, h;
    if (sscanf(sizes[size], "%dx%d", &n, &h) != 2) return 2;
    int gn = (n + GROUP - 1) / GROUP, gh = (h + GROUP - 1) / GROUP;
    float *dense = zeros(n * h), *turned = zeros(n * h);
    float *down = zeros(h * gn * GROUP), *up = zeros(n * gh * GROUP);
    for (int j = 0; j < h; j++)
      for (int i = 0; i < n; i++) {
        float weight = (rand() / (float)RAND_MAX - 0.5f) * 4 / n;
        dense[j * n + i] = turned[i * h + j] = weight;
        down[j * gn * GROUP + i] = up[i * gh * GROUP + j] = weight;
      }
    float *v = zeros(n * LANES), *hidden = zeros(h * LANES);
    int32_t *vb = zeros(gn * LANES), *hb = zeros(gh * LANES);
    int steps = 20 + 2000000 / (n * h);
    double best[2] = {1e9, 1e9};
    for (int repeat = 0; repeat < 25; repeat++)
      for (int way = 0; way < 2; way++) {
        uint64_t key = 1;
        double start = now();
        for (int s = 0; s < steps; s++)
          if (way) {
            key = by_tables(0, h, gn, down, vb, hb, key);
            key = by_tables(0, n, gh, up, hb, vb, key);
          } else {
            key = by_multiply_adds(h, n, dense, v, hidden, key);
            key = by_multiply_adds(n, h, turned, hidden, v, key);
          }
        double time = (now() - start) / steps;
        if (time < best[way]) best[way] = time;
      }
    /* Both ways draw the same random numbers, so their states agree but for rounding. */
    int differ = 0;
    for (int i = 0; i < n; i++)
      for (int lane = 0; lane < LANES; lane++)
        differ += (int)v[i * LANES + lane] != (vb[i / GROUP * LANES + lane] >> i % GROUP & 1);
    if (differ > n) return 1;
    printf("loops %s %.4f\ntables %s %.4f\n", sizes[size], 1e6 * best[0], sizes[size], 1e6 * best[1]);
    size_t bytes = (size_t)gn * LANES * 4;
    int32_t *expected = zeros(gn * LANES);
    uint64_t key = 1;
    for (int s = 0; s < BURST; s++) {
      key = by_tables(0, h, gn, down, expected, hb, key);
      key = by_tables(0, n, gh, up, hb, expected, key);
    }
    shared.n = n, shared.h = h, shared.groups[0] = gn, shared.groups[1] = gh;
    shared.down = down, shared.up = up, shared.v = vb, shared.hidden = hb;
    for (int work = 0; work < 2; work++)
      printf("%s %s %.4f\n", work ? "halves" : "handovers", sizes[size],
             in_two_threads(work, vb, expected, bytes));
  }
  return 0;
}
