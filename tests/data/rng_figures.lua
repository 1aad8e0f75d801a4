-- Made by tests/data/rng.R with R version 4.2.2 Patched (2022-11-10 r83330) and future.apply 1.10.0
local data = { cases = {}, streams = {}, elements = {} }
data.n = 2000
data.cases[1] = { draw = "g:uniform(nil, nil, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.5ae59539da895p-1, 0x1.b59a1dff8d387p-2, 0x1.d21d659ab7e2ap-1, 0x1.db172b6c02d35p-1,
        0x1.7a44988357bbfp-2 } }
data.cases[2] = { draw = "g:uniform(-3, 7.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { -0x1.e05ac09c49bc8p+0, 0x1.72176edcb30cp-4, -0x1.4c222dad1bc52p+1, -0x1.8354b26ab4d1p-2,
        0x1.40fa8d620b93p+1 } }
data.cases[3] = { draw = "g:normal(nil, nil, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { -0x1.2fe80c2055f82p-2, 0x1.4e1760df2ba07p-2, 0x1.d5331f51a225p-4, 0x1.030a01e37c7c6p-2,
        -0x1.449bc20d93e17p+1 } }
data.cases[4] = { draw = "g:normal(10, 2.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.9e7024621855bp+3, 0x1.25b031a930ca3p+3, 0x1.1904fdbd52c5ap+3, 0x1.446f22e37c9aep+1,
        0x1.67a69742a77a8p+3 } }
data.cases[5] = { draw = "g:exponential(nil, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.17dec42f0a1b6p+0, 0x1.97c2eeaa9899fp+0, 0x1.b4345249b4baep+1, 0x1.8a65fa2072db8p-3,
        0x1.0c57986d7ed5ep+1 } }
data.cases[6] = { draw = "g:exponential(0.3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.288ab32e46074p-1, 0x1.83d910e475b33p+0, 0x1.3d953522093bbp-2, 0x1.c054999c2a3d8p+2,
        0x1.8f19ce6844f7dp+0 } }
data.cases[7] = { draw = "g:gamma(0.050000000000000003, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.d8af6fd747c6p-62, 0x1.7e8eb6b339799p-23, 0x1.2e6617a29d131p-9, 0x1.01340fe67f6afp-90,
        0x1.012588f7638ap-20 } }
data.cases[8] = { draw = "g:gamma(0.29999999999999999, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.1fc4350e9632ep-6, 0x1.ab1180874b40ap-6, 0x1.6787c051a5ee4p-7, 0x1.9778bb8cfa917p-4,
        0x1.cf3a3d50119ddp-11 } }
data.cases[9] = { draw = "g:gamma(0.99990000000000001, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.143305959062p-1, 0x1.21b4e575e1d15p-2, 0x1.82a8830150062p-3, 0x1.8b1a2bf49bb3ep-3,
        0x1.00ce864dd936fp-3 } }
data.cases[10] = { draw = "g:gamma(1, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.62e9c1c9fef24p-4, 0x1.e0db93931a3ffp-4, 0x1.418df6650cd1bp-8, 0x1.c87944c923158p-4,
        0x1.13612eba9d613p-2 } }
data.cases[11] = { draw = "g:gamma(1.5, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.e55aba5e6062bp-2, 0x1.ef944813e7878p-1, 0x1.53bf30d4cd1d5p-5, 0x1.d904f4ee30d41p-3,
        0x1.06d9f4f9db4a5p-1 } }
data.cases[12] = { draw = "g:gamma(3.6859999999999999, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.1df8278ae370bp-2, 0x1.57ba2425dc384p+0, 0x1.cdb8e3a233507p+0, 0x1.4ec74c217b9a8p+1,
        0x1.2fa4c5b032bb2p-2 } }
data.cases[13] = { draw = "g:gamma(3.7000000000000002, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f986541aebfd1p-1, 0x1.9e3ab23e9ba05p-1, 0x1.d9265414b5a07p-1, 0x1.16fa404f5b292p+0,
        0x1.26f6ad0170e0ep+1 } }
data.cases[14] = { draw = "g:gamma(10, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.24d7f05ff8536p+2, 0x1.8c46bd0ea3eeep+1, 0x1.6ea6ebd102c07p+2, 0x1.da542af9c5caap+0,
        0x1.8600c32bf2fe8p+1 } }
data.cases[15] = { draw = "g:gamma(13.022, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f1c450557b3d4p+1, 0x1.19fbdf2581096p+2, 0x1.07a1ac42d52b3p+2, 0x1.01c14d59761cbp+2,
        0x1.2fdadd0fb8458p+2 } }
data.cases[16] = { draw = "g:gamma(14, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.51db956a91a37p+2, 0x1.60f0a7ee94489p+2, 0x1.3afa9b9b4c103p+2, 0x1.038ed5f2e803bp+2,
        0x1.b738459f0ea46p+2 } }
data.cases[17] = { draw = "g:gamma(100, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f033166d521cdp+4, 0x1.624b8e54e49b1p+5, 0x1.1f9b70aa5d369p+5, 0x1.1f9ccb6f33cc4p+5,
        0x1.0dab9aab1aef5p+5 } }
data.cases[18] = { draw = "g:gamma(1000000, 0.37, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.692011c6212bep+18, 0x1.68e425b35133ap+18, 0x1.69bdf7bf3e479p+18, 0x1.69013bb9e843dp+18,
        0x1.691a82fe3a6c6p+18 } }
data.cases[19] = { draw = "g:beta(0.01, 0.02, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.98d631dd81793p-96, 0x1.e0185dfccecfep-6, 0x1.03d27e5169bccp-412, 0x1.1d1f68c5e6b52p-307,
        0x1.ffffffffb96dap-1 } }
data.cases[20] = { draw = "g:beta(0.01, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.d1761462d6e3cp-66, 0x1.4e23f25b2ab55p-200, 0x1.3cb0f6cbc71f8p-127, 0x1.75d0519ac0f1dp-387,
        0x1.4f93ec90b44e1p-221 } }
data.cases[21] = { draw = "g:beta(0.01, 3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.2596d01b8c777p-26, 0x1.8881337504173p-446, 0x1.105c0c760177cp-390, 0x1.3cf372366d575p-456,
        0x1.edeb0d912e19bp-156 } }
data.cases[22] = { draw = "g:beta(0.01, 500, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.dc6dff3bbe507p-61, 0x1.8d0a82b7fb2c1p-39, 0x1.75bf53efc81e1p-148, 0x1.63ee311734c1cp-34,
        0x1.d148fd609edbdp-601 } }
data.cases[23] = { draw = "g:beta(0.5, 0.02, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.fffffab18b277p-1, 0x1p+0, 0x1.ffffff85d8975p-1, 0x1.e6c8c807d08a6p-1,
        0x1.ffffff2f09fa6p-1 } }
data.cases[24] = { draw = "g:beta(0.5, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.efa70b60981d3p-5, 0x1.872e457e59a87p-2, 0x1.dead287efd739p-1, 0x1.bfc5be8c09617p-1,
        0x1.1bbf180633322p-2 } }
data.cases[25] = { draw = "g:beta(0.5, 3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.73100f980d88p-4, 0x1.8b39fb3810a1ap-9, 0x1.d4367a9f96131p-15, 0x1.382eef4acc6bp-5,
        0x1.c28a8e9069645p-4 } }
data.cases[26] = { draw = "g:beta(0.5, 500, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.aa9087cdde607p-12, 0x1.8ebfb8d434d1bp-15, 0x1.961669bf078dcp-25, 0x1.70c4f7d06dbfap-11,
        0x1.26327f38795b5p-11 } }
data.cases[27] = { draw = "g:beta(1, 0.02, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1.fffffffffdc8dp-1, 0x1p+0,
        0x1.ffffffffccd82p-1 } }
data.cases[28] = { draw = "g:beta(1, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.b348852daaec2p-2, 0x1.d297b23b1b401p-5, 0x1.37a68809374e8p-1, 0x1.6bbf9a6f8bad4p-3,
        0x1.6f3377a659d13p-1 } }
data.cases[29] = { draw = "g:beta(1, 3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.57bb225a92301p-3, 0x1.1a4f7ddac539fp-7, 0x1.02f146b2f97bdp-6, 0x1.143ad1b32b20ap-3,
        0x1.2ad2e054495bcp-2 } }
data.cases[30] = { draw = "g:beta(1, 500, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.230aba685e5edp-9, 0x1.ebefd86392cfcp-8, 0x1.31f05eaf9d4ep-10, 0x1.00270f3506cp-11,
        0x1.d8a8747d2ef44p-10 } }
data.cases[31] = { draw = "g:beta(1.0001, 0.02, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1p+0, 0x1.fffffffe7a96dp-1,
        0x1.ff6ab9019b296p-1 } }
data.cases[32] = { draw = "g:beta(1.0001, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.fabbbc37ebd9cp-3, 0x1.01250f904d381p-1, 0x1.1753c7ee859fp-1, 0x1.1cd294ae1925p-2,
        0x1.d5c6d3683efb6p-1 } }
data.cases[33] = { draw = "g:beta(1.0001, 3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.12ab505c48379p-2, 0x1.0a2ce5fbf764ap-5, 0x1.6b7f52dd589b7p-1, 0x1.898a9b7613074p-4,
        0x1.2919f72bb5f8bp-2 } }
data.cases[34] = { draw = "g:beta(1.0001, 500, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.70adcf2ccc13ap-15, 0x1.dff9ddce29937p-9, 0x1.c0bf4f40a92bcp-10, 0x1.299d28c52a23bp-9,
        0x1.941bcffc59913p-8 } }
data.cases[35] = { draw = "g:beta(2, 0.02, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.df7038e0ef9e2p-1, 0x1.ffbb073130a41p-1, 0x1p+0, 0x1.ffffffffe03a6p-1,
        0x1.ffffff604c9c2p-1 } }
data.cases[36] = { draw = "g:beta(2, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.af2844ffde23p-1, 0x1.6c4e9cdeb884ap-1, 0x1.0ae6e6dca2398p-1, 0x1.3dfe2beebb6d2p-1,
        0x1.ee7b58989e14ap-4 } }
data.cases[37] = { draw = "g:beta(2, 3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.04904e4b31736p-2, 0x1.53c0742c88de7p-2, 0x1.5a975ede911edp-4, 0x1.ae4fc57438ebap-2,
        0x1.3289b07d48d55p-1 } }
data.cases[38] = { draw = "g:beta(2, 500, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.05ea3638b0a83p-8, 0x1.a4160566b6de7p-7, 0x1.d639f5ed1b97ap-9, 0x1.014fabfadd577p-8,
        0x1.8f50016d1d168p-8 } }
data.cases[39] = { draw = "g:beta(30, 0.02, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.fffffff358cb4p-1, 0x1.ffffffffffd4ap-1, 0x1p+0, 0x1p+0,
        0x1p+0 } }
data.cases[40] = { draw = "g:beta(30, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ed4feed87aff7p-1, 0x1.dc52a4dfba41fp-1, 0x1.fbe832cfc1304p-1, 0x1.fc90e58d0079p-1,
        0x1.e43d9c75ab942p-1 } }
data.cases[41] = { draw = "g:beta(30, 3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.b81a557945dap-1, 0x1.92fa9e60d5eeep-1, 0x1.eaafd0730db35p-1, 0x1.e8d3c20bce7acp-1,
        0x1.e8176a4d314acp-1 } }
data.cases[42] = { draw = "g:beta(30, 500, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.7c7048a87deffp-5, 0x1.cbd194c5573f4p-5, 0x1.1333d91bb7effp-4, 0x1.1779c99e54f0dp-4,
        0x1.882ed458e10cp-5 } }
data.cases[43] = { draw = "g:binomial(1, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0,
        0x0p+0 } }
data.cases[44] = { draw = "g:binomial(1, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x0p+0, 0x1p+0, 0x0p+0,
        0x0p+0 } }
data.cases[45] = { draw = "g:binomial(1, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0,
        0x0p+0 } }
data.cases[46] = { draw = "g:binomial(1, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x0p+0, 0x0p+0, 0x1p+0, 0x0p+0,
        0x0p+0 } }
data.cases[47] = { draw = "g:binomial(1, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0,
        0x1p+0 } }
data.cases[48] = { draw = "g:binomial(30, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x0p+0, 0x0p+0, 0x1p+0, 0x0p+0,
        0x0p+0 } }
data.cases[49] = { draw = "g:binomial(30, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ap+3, 0x1.2p+3, 0x1.2p+3, 0x1p+3,
        0x1.8p+2 } }
data.cases[50] = { draw = "g:binomial(30, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.cp+3, 0x1.1p+4, 0x1.ap+3, 0x1.2p+4,
        0x1.cp+3 } }
data.cases[51] = { draw = "g:binomial(30, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.6p+3, 0x1.ap+3, 0x1.cp+3, 0x1.ap+3,
        0x1.ep+3 } }
data.cases[52] = { draw = "g:binomial(30, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ep+4, 0x1.ep+4, 0x1.ep+4, 0x1.dp+4,
        0x1.ep+4 } }
data.cases[53] = { draw = "g:binomial(60, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x0p+0, 0x0p+0, 0x1p+0,
        0x0p+0 } }
data.cases[54] = { draw = "g:binomial(60, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ep+3, 0x1.3p+4, 0x1.4p+4, 0x1.1p+4,
        0x1.1p+4 } }
data.cases[55] = { draw = "g:binomial(60, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ap+4, 0x1p+5, 0x1.ep+4, 0x1.bp+4,
        0x1.2p+5 } }
data.cases[56] = { draw = "g:binomial(60, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.9p+4, 0x1p+5, 0x1.2p+5, 0x1.fp+4,
        0x1.9p+4 } }
data.cases[57] = { draw = "g:binomial(60, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ep+5, 0x1.ep+5, 0x1.ep+5, 0x1.ep+5,
        0x1.ep+5 } }
data.cases[58] = { draw = "g:binomial(61, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1p+1, 0x0p+0,
        0x0p+0 } }
data.cases[59] = { draw = "g:binomial(61, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ep+3, 0x1.7p+4, 0x1.3p+4, 0x1.7p+4,
        0x1.3p+4 } }
data.cases[60] = { draw = "g:binomial(61, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+5, 0x1.5p+4, 0x1p+5, 0x1.dp+4,
        0x1.08p+5 } }
data.cases[61] = { draw = "g:binomial(61, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ap+4, 0x1.ep+4, 0x1.bp+4, 0x1.6p+4,
        0x1.2p+5 } }
data.cases[62] = { draw = "g:binomial(61, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.e8p+5, 0x1.e8p+5, 0x1.e8p+5, 0x1.e8p+5,
        0x1.e8p+5 } }
data.cases[63] = { draw = "g:binomial(100, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x0p+0, 0x1p+0,
        0x1p+0 } }
data.cases[64] = { draw = "g:binomial(100, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ep+4, 0x1.1p+5, 0x1.8p+4, 0x1.1p+5,
        0x1.fp+4 } }
data.cases[65] = { draw = "g:binomial(100, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.c8p+5, 0x1.b8p+5, 0x1.8p+5, 0x1.8p+5,
        0x1.a8p+5 } }
data.cases[66] = { draw = "g:binomial(100, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+6, 0x1.d8p+5, 0x1.78p+5, 0x1.c8p+5,
        0x1.c8p+5 } }
data.cases[67] = { draw = "g:binomial(100, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.9p+6, 0x1.9p+6, 0x1.9p+6, 0x1.9p+6,
        0x1.9p+6 } }
data.cases[68] = { draw = "g:binomial(1000, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.6p+3, 0x1.ep+3, 0x1.2p+3, 0x1p+3,
        0x1.8p+1 } }
data.cases[69] = { draw = "g:binomial(1000, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.2cp+8, 0x1.f2p+7, 0x1.2fp+8, 0x1.18p+8,
        0x1.3cp+8 } }
data.cases[70] = { draw = "g:binomial(1000, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f2p+8, 0x1.f9p+8, 0x1.f7p+8, 0x1.f5p+8,
        0x1.ebp+8 } }
data.cases[71] = { draw = "g:binomial(1000, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f7p+8, 0x1.058p+9, 0x1.05p+9, 0x1.02p+9,
        0x1.0a8p+9 } }
data.cases[72] = { draw = "g:binomial(1000, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f38p+9, 0x1.f38p+9, 0x1.f38p+9, 0x1.f3p+9,
        0x1.f38p+9 } }
data.cases[73] = { draw = "g:binomial(1000000, 0.01, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.3cap+13, 0x1.3438p+13, 0x1.37e8p+13, 0x1.37ep+13,
        0x1.3618p+13 } }
data.cases[74] = { draw = "g:binomial(1000000, 0.29999999999999999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.24b98p+18, 0x1.24a1cp+18, 0x1.25d7cp+18, 0x1.250acp+18,
        0x1.24a2cp+18 } }
data.cases[75] = { draw = "g:binomial(1000000, 0.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.e8974p+18, 0x1.e837cp+18, 0x1.e9358p+18, 0x1.e8878p+18,
        0x1.e6fdcp+18 } }
data.cases[76] = { draw = "g:binomial(1000000, 0.51000000000000001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f1fcp+18, 0x1.f2868p+18, 0x1.f2e0cp+18, 0x1.f233cp+18,
        0x1.f1c2cp+18 } }
data.cases[77] = { draw = "g:binomial(1000000, 0.999, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.e7c98p+19, 0x1.e7d1ep+19, 0x1.e7c86p+19, 0x1.e7c74p+19,
        0x1.e7c1p+19 } }
data.cases[78] = { draw = "g:poisson(0.001, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x0p+0, 0x0p+0, 0x0p+0, 0x0p+0,
        0x0p+0 } }
data.cases[79] = { draw = "g:poisson(1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x0p+0, 0x1p+0, 0x0p+0, 0x0p+0,
        0x0p+0 } }
data.cases[80] = { draw = "g:poisson(3, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.4p+2, 0x1.8p+1, 0x1p+2, 0x1p+2,
        0x1p+1 } }
data.cases[81] = { draw = "g:poisson(9.9900000000000002, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.cp+2, 0x1.ap+3, 0x1.cp+3, 0x1.4p+2,
        0x1.4p+3 } }
data.cases[82] = { draw = "g:poisson(10, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.4p+3, 0x1.4p+3, 0x1.4p+3, 0x1.6p+3,
        0x1.ap+3 } }
data.cases[83] = { draw = "g:poisson(10.5, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ap+3, 0x1.4p+2, 0x1.cp+2, 0x1p+3,
        0x1.6p+3 } }
data.cases[84] = { draw = "g:poisson(12, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.4p+3, 0x1p+4, 0x1.ap+3, 0x1.6p+3,
        0x1.2p+3 } }
data.cases[85] = { draw = "g:poisson(25, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.dp+4, 0x1.8p+4, 0x1.6p+4, 0x1.ap+4,
        0x1.8p+4 } }
data.cases[86] = { draw = "g:poisson(100, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.58p+6, 0x1.28p+6, 0x1.a8p+6, 0x1.6p+6,
        0x1.8p+6 } }
data.cases[87] = { draw = "g:poisson(10000, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.392p+13, 0x1.3b6p+13, 0x1.38p+13, 0x1.3708p+13,
        0x1.3a38p+13 } }
data.cases[88] = { draw = "g:poisson(100000000, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.7d829dp+26, 0x1.7d76164p+26, 0x1.7d70de8p+26, 0x1.7d700b8p+26,
        0x1.7d7e9acp+26 } }
data.cases[89] = { draw = "g:integers(1, 1, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0,
        0x1p+0 } }
data.cases[90] = { draw = "g:integers(1, 2, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1p+1, 0x1p+1,
        0x1p+1 } }
data.cases[91] = { draw = "g:integers(1, 6, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.4p+2, 0x1p+2, 0x1.4p+2, 0x1p+0,
        0x1p+1 } }
data.cases[92] = { draw = "g:integers(1, 255, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.c8p+5, 0x1.7ep+7, 0x1.3p+7, 0x1.d8p+6,
        0x1.74p+7 } }
data.cases[93] = { draw = "g:integers(1, 256, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.5cp+6, 0x1.b8p+5, 0x1.4ap+7, 0x1.a4p+6,
        0x1.2ap+7 } }
data.cases[94] = { draw = "g:integers(1, 257, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.3p+7, 0x1.3ep+7, 0x1.fp+6, 0x1.6p+3,
        0x1.9p+4 } }
data.cases[95] = { draw = "g:integers(1, 65536, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.92fcp+15, 0x1.d2a8p+13, 0x1.c0f8p+14, 0x1.e478p+15,
        0x1.5d06p+15 } }
data.cases[96] = { draw = "g:integers(1, 65537, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.4bd8p+14, 0x1.c4e2p+15, 0x1.ccfp+13, 0x1.3194p+14,
        0x1.6324p+15 } }
data.cases[97] = { draw = "g:integers(1, 1000000, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.cf7b8p+19, 0x1.53a3ap+19, 0x1.0e748p+18, 0x1.81ap+19,
        0x1.d8f4cp+18 } }
data.cases[98] = { draw = "g:integers(1, 1099511627776, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.d07b62d53p+37, 0x1.23597bf51p+38, 0x1.62c549a4bcp+39, 0x1.4646307b48p+37,
        0x1.1dfbfb99d8p+39 } }
data.cases[99] = { draw = "g:sample(n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.ea8p+10, 0x1.8e4p+10, 0x1.d6p+7, 0x1.3p+6,
        0x1.f38p+10 } }
data.cases[100] = { draw = "g:sample(5 * n, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.71fp+12, 0x1.bf8p+10, 0x1.2f3p+13, 0x1.a61p+12,
        0x1p+4 } }
data.cases[101] = { draw = "g:sample(20000000, n)",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.5faacp+22, 0x1.31294ap+23, 0x1.398c84p+22, 0x1.e79bdp+22,
        0x1.ca587cp+23 } }
data.cases[102] = { draw = "g:sample(7, n, { replace = true })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.4p+2, 0x1.cp+2, 0x1p+1, 0x1.8p+1,
        0x1p+2 } }
data.cases[103] = { draw = "g:sample(1, n, { replace = true, weights = weights(1) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+0, 0x1p+0, 0x1p+0, 0x1p+0,
        0x1p+0 } }
data.cases[104] = { draw = "g:sample(2, n, { replace = true, weights = weights(2) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1p+1, 0x1p+0, 0x1p+0, 0x1p+0,
        0x1p+1 } }
data.cases[105] = { draw = "g:sample(50, n, { replace = true, weights = weights(50) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.48p+5, 0x1p+3, 0x1p+5, 0x1.ep+4,
        0x1.88p+5 } }
data.cases[106] = { draw = "g:sample(200, n, { replace = true, weights = weights(200) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.3ep+7, 0x1.42p+7, 0x1.ap+5, 0x1.7p+7,
        0x1.5cp+7 } }
data.cases[107] = { draw = "g:sample(201, n, { replace = true, weights = weights(201) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.3cp+6, 0x1.6cp+6, 0x1.7p+4, 0x1.84p+7,
        0x1p+5 } }
data.cases[108] = { draw = "g:sample(300, n, { replace = true, weights = weights(300) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.28p+7, 0x1.2cp+8, 0x1.58p+7, 0x1.c2p+7,
        0x1.fcp+6 } }
data.cases[109] = { draw = "g:sample(3000, n, { weights = weights(3000) })",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.88p+6, 0x1.96p+8, 0x1.83p+10, 0x1.0ep+9,
        0x1.618p+11 } }
data.cases[110] = { draw = "g:sample(300, 1, { weights = weights(300) })",
    at = { 1 },
    values = { 0x1.7cp+7 } }
data.cases[111] = { draw = "g:shuffle(g:sample(n))",
    at = { 1, 2, 3, 1999, 2000 },
    values = { 0x1.f5p+8, 0x1.254p+10, 0x1.72p+9, 0x1.a3cp+10,
        0x1.af4p+10 } }
data.streams[1] = {
    start = { 1280795612, 4125696813, 3852956682, 3691408899, 4072619880, 1489374793 },
    stream = { 4246464, 4063011236, 3823334500, 1620595781, 533443421, 594164961 },
    third = { 329312609, 1836843925, 2813409177, 4138064060, 3305959527, 556931653 },
    substream = { 1758599292, 395847541, 373354099, 2678426154, 1293554115, 3114677104 },
}
data.streams[42] = {
    start = { 2161575609, 507561766, 1260545903, 1362917092, 2522400917, 2950508626 },
    stream = { 4200392260, 4270105571, 357812871, 346211554, 2993944461, 440649733 },
    third = { 1805183335, 2311988612, 1500882842, 2397007906, 4090701037, 2288341655 },
    substream = { 2423402294, 1968597656, 3789300514, 1055078269, 658163990, 1090264187 },
}
data.streams[-5] = {
    start = { 1466166878, 4236158791, 1194430172, 365728301, 1785353994, 4103943427 },
    stream = { 3503825300, 3114186613, 2631043995, 2693927524, 1101753817, 3863841029 },
    third = { 3519562949, 3345736852, 550642740, 6752543, 1465780412, 2790220381 },
    substream = { 1689769414, 147572323, 3703863950, 4110406248, 1785278365, 41139790 },
}
data.elements[42] = {
    { 0x1.f52e2077357a7p-2, 0x1.55177f4123177p-1, -0x1.3b7ebc2650844p+1, 0x1.48093635e1ff2p+1,
        0x1.4fac48319e141p+1, 0x1.70e6f50305df1p+1, 0x1.6fb7b267b8b25p+1, 0x1.8f07949091503p+1,
        0x1.3cfd60a2da4cep+1, 0x1.27931a8e99494p-3, 0x1.8e7974e22a0acp-3, 0x1.61a0f4939e3ecp-1,
        0x1.58p+5, 0x1.28p+5, 0x1.2p+5, 0x1.88p+5,
        0x1.8p+1, 0x1p+3, 0x1.8p+2, 0x1.8p+1,
        0x1.cp+2, 0x1p+0, 0x1p+1, 0x1p+0,
        0x1.8p+1, 0x1.8p+1, 0x1.a467226593ccp-3 },
    { 0x1.fd35222fbb2bdp-1, 0x1.5751dd12f283bp-1, 0x1.8c9d002253e72p-1, 0x1.d1516ec6460f4p+0,
        0x1.2fcdaaac3dba8p+1, 0x1.094fb10790cp-2, 0x1.569c782a043dap+0, 0x1.2c83349aad819p-2,
        0x1.0cc72bd1f48edp+0, 0x1.392ae7b7a31a7p-8, 0x1.4e342b392e17ep-1, 0x1.ba94e31003475p-2,
        0x1.2p+5, 0x1.2p+5, 0x1.6p+5, 0x1.88p+5,
        0x1.4p+2, 0x1.4p+2, 0x1p+3, 0x1.4p+3,
        0x1p+0, 0x1.8p+1, 0x1p+1, 0x1p+0,
        0x1p+0, 0x1p+1, 0x1.9777ec27116ffp-1 },
    { 0x1.1f6c4ba987fd8p-6, 0x1.7e69987ab5cbfp-1, 0x1.90c14c8bcb268p-2, 0x1.ba927d98185cbp+1,
        0x1.233fcef14bc54p+2, 0x1.0b312ab917f2cp-1, 0x1.a945ab88d2d36p+0, 0x1.bb8a064656ca8p+0,
        0x1.78a306b855e34p+0, 0x1.8ea9f6c3a0628p-2, 0x1.7b3a4fbbed6fcp-2, 0x1.d1fea4d759452p-2,
        0x1.48p+5, 0x1.6p+5, 0x1.7p+5, 0x1.bp+5,
        0x1p+0, 0x1.8p+2, 0x1.4p+2, 0x1.8p+1,
        0x1p+2, 0x1.8p+1, 0x1.8p+1, 0x1p+2,
        0x1.8p+1, 0x1p+0, 0x1.ca8b10a290fd9p-1 },
    { 0x1.71d678dc7e424p-1, 0x1.26553603253bfp-1, 0x1.cf7b459bd154p+2, 0x1.758aba19ff87ep+1,
        0x1.b51e5f7751fc2p+0, 0x1.2d13aaadd5745p-6, 0x1.766e3115dddf1p+1, 0x1.4cba17ff4c4adp+1,
        0x1.3bf43bae9f90bp+2, 0x1.0dad9acb88a38p+3, 0x1.63ffc002952e8p-1, 0x1.13b74c23e0eb5p-1,
        0x1.3p+5, 0x1.58p+5, 0x1.1p+5, 0x1.cp+5,
        0x1.8p+1, 0x1.2p+3, 0x1.4p+2, 0x1.8p+1,
        0x1p+1, 0x1.8p+1, 0x1.8p+1, 0x1.8p+1,
        0x1p+1, 0x1.8p+1, 0x1.c4fbccf00c969p-7 },
    { 0x1.52b6b9a33476ep-1, 0x1.678750c01df1ap-2, 0x1.9786e421758f2p+2, 0x1.eabb3a9b3554ap+2,
        0x1.e868da5f17bf2p+2, 0x1.1b42ae3689181p+0, 0x1.0078fa6956251p-1, 0x1.133ee741c2709p+0,
        0x1.00ffcb995a59ap+2, 0x1.66f9c1b6481f9p-7, 0x1.0265e04d42823p-1, 0x1.d758dd647fd4dp-3,
        0x1.5p+5, 0x1.1p+5, 0x1.c8p+5, 0x1.cp+5,
        0x1p+1, 0x1.8p+2, 0x1p+1, 0x1p+0,
        0x1p+3, 0x1.8p+1, 0x1.8p+1, 0x1p+2,
        0x1.8p+1, 0x1p+1, 0x1.6c88c1f82f1dap-1 },
}
data.elements[7] = {
    { 0x1.6e44bcf597d99p-1, 0x1.099663afca31p-2, 0x1.d1205509f50b6p+0, 0x1.b8a70a58220f3p+1,
        0x1.69d55cb68dc3p+0, 0x1.509721351fe7p+0, 0x1.2e8a3c3027756p+1, 0x1.237c105bc2935p-1,
        0x1.b96d82457afd6p+0, 0x1.417788144936ap+0, 0x1.359e118791f42p-2, 0x1.bef97dff81edep-3,
        0x1.78p+5, 0x1.1p+5, 0x1.8p+5, 0x1.cp+5,
        0x1p+1, 0x1.4p+2, 0x1.8p+1, 0x1p+1,
        0x1.4p+3, 0x1p+1, 0x1p+0, 0x1p+1,
        0x1p+1, 0x1p+1, 0x1.b66f59a03a78ep-2 },
    { 0x1.7cce02bd67624p-1, 0x1.830bb8207985ap-1, 0x1.7d70ed7f75ea8p+0, 0x1.67e21d735225ap+1,
        0x1.61c2285edaf9ep+0, 0x1.3e6b00ee2e9acp+1, 0x1.1090a570ed306p+1, 0x1.67ecdafc1807cp+2,
        0x1.59061661e006fp+0, 0x1.c759e049543f6p+2, 0x1.1d4cd5125b882p-3, 0x1.970f9d05a1f8p-1,
        0x1.48p+5, 0x1.2p+5, 0x1.48p+5, 0x1.ap+5,
        0x1.4p+2, 0x1p+1, 0x1.2p+3, 0x1.4p+2,
        0x1p+0, 0x1p+1, 0x1.8p+1, 0x1.8p+1,
        0x1p+0, 0x1.8p+1, 0x1.298ed2c7c40b5p-1 },
    { 0x1.c9680f9fa48ccp-2, 0x1.f9492b028b73p-3, 0x1.14661080cb9f4p+1, 0x1.62938e38e8282p+1,
        0x1.2a05dc901906dp+1, 0x1.a12bdd92f3a44p-2, 0x1.2e8990f974e1ep+0, 0x1.38e588ad82b49p-1,
        0x1.9769e4c6a1bfap+1, 0x1.d388364db352cp+1, 0x1.0dc24566c7658p-2, 0x1.787ccee97dfd4p-2,
        0x1.28p+5, 0x1.fp+4, 0x1.bp+5, 0x1.6p+5,
        0x1.8p+1, 0x1p+3, 0x1p+0, 0x1.4p+3,
        0x1p+2, 0x1.8p+1, 0x1p+0, 0x1.8p+1,
        0x1.8p+1, 0x1.8p+1, 0x1.d54f3437505a8p-1 },
    { 0x1.ebd914d7a061p-1, 0x1.0d6edec2ea15p-1, 0x1.c0699d76c7d84p+2, 0x1.69020f504a593p+2,
        0x1.5117c1751bb7dp+2, 0x1.21463c6b0912p-4, 0x1.b3e1e5eb8d418p-9, 0x1.3de5cd8c5f2dbp+2,
        0x1.cab5ad4d0ee9p+1, 0x1.2a16eb418040ap+1, 0x1.9cc980addb9c4p-2, 0x1.48b57b8aa7162p-1,
        0x1.6p+5, 0x1.48p+5, 0x1.58p+5, 0x1.6p+5,
        0x1p+2, 0x1.cp+2, 0x1.8p+1, 0x1.4p+3,
        0x1p+0, 0x1p+0, 0x1p+1, 0x1p+0,
        0x1.8p+1, 0x1p+1, 0x1.e40b9949496cap-6 },
    { 0x1.a2707343fb5dbp-1, 0x1.71942a6c48628p-4, 0x1.5302874d07a89p+2, 0x1.dd0fe803377fap+1,
        0x1.40ef4401145edp+1, 0x1.051d2a79b6158p+2, 0x1.449aab77bdab8p-2, 0x1.1197a32b171f4p+1,
        0x1.6e1cf88c1fdc8p+1, 0x1.327f2a5bc3b06p+0, 0x1.ad0d90e553294p-4, 0x1.626546a2ad3a3p-2,
        0x1.2p+5, 0x1.48p+5, 0x1.fp+5, 0x1.68p+5,
        0x0p+0, 0x1.4p+2, 0x1p+2, 0x1p+1,
        0x1.8p+1, 0x1.8p+2, 0x1.8p+1, 0x1.8p+2,
        0x1.8p+1, 0x1.8p+1, 0x1.b5a4494f957bap-1 },
}
return data
