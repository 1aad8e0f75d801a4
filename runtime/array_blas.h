/* OpenBLAS, if this program was built where it is and it is where the program runs: opened at the first product that is
 * worth it, so that a program without large products does not pay for it. */
#ifndef MF_ARRAY_BLAS_H
#define MF_ARRAY_BLAS_H

#include <stdbool.h>

enum { MF_BLAS_ROWS = 101, MF_BLAS_PLAIN = 111, MF_BLAS_TURNED = 112 };

typedef void mf_blas_dgemm(int order, int turn_a, int turn_b, int m, int n, int k, double alpha, const double *a,
                           int lda, const double *b, int ldb, double beta, double *c, int ldc);
typedef void mf_blas_sgemm(int order, int turn_a, int turn_b, int m, int n, int k, float alpha, const float *a, int lda,
                           const float *b, int ldb, float beta, float *c, int ldc);

/* All zero bytes: not looked for yet. Belongs to one thread; several may exist. */
struct mf_blas {
    bool tried;
    mf_blas_dgemm *dgemm; /* as CBLAS has them; NULL: there are none */
    mf_blas_sgemm *sgemm;
};

/* Looks for the library, once. It is told to work on the calling thread alone: workers have the cores already. */
void mf_blas_open(struct mf_blas *blas);

#endif
