// What pages with activities need: predictions, tasks, recall cards, lines to order. All of it is kept in
// this browser alone.
import { startOrders } from "./activities/order.js";
import { startPredictions } from "./activities/predict.js";
import { startRecall } from "./activities/recall.js";
import { startTasks } from "./activities/task.js";

startPredictions();
startTasks();
startRecall();
startOrders();
