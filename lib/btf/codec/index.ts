export { type BtfValue, codecOf } from './codec-of'
